/** Duty: a binding as config/ has it before it is known what the rest of the policy says. */
import type { DeliveryOptions } from '../delivery/options.ts';
import type { BindingOptions } from '../policy/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { Path } from './problems.ts';

export interface CompiledBinding {
  readonly source: ShapedAs<'CredentialBinding'>;
  /** Null: the credential is not injected. */
  readonly injected: BindingOptions | null;
  readonly deliveries: readonly AskedDelivery[];
}

export interface AskedDelivery extends Omit<DeliveryOptions, 'owner'> {
  /** Where it stands. */
  readonly at: Path;
}
