/**
 * Duty: the roles of an auth method, as the operator keeps them: reads, writes, deletes and lists them.
 * In → Out: a call on `role/<name>` → Vault's answer; a name → the role, for the login.
 * Holds: a role that is refused leaves the former one as it was; there are at most 1,000.
 * Not here: the fields of a role, which each method reads and shows.
 */
import type { VaultCall } from './call.ts';
import type { Fields } from './fields.ts';
import {
  answerData,
  answerKeys,
  done,
  type JsonObject,
  notFound,
  type Refusal,
  refuse,
  unsupportedOperation,
  type VaultReply,
} from './reply.ts';

export interface RoleForm<Role extends object> {
  /** The fields over the former role; null: it is new. */
  readonly read: (fields: Fields, former: Role | null) => Role | Refusal;
  readonly describe: (role: Role) => JsonObject;
}

const MAX_ROLES = 1_000;

export class RoleTable<Role extends object> {
  readonly #form: RoleForm<Role>;
  readonly #roles = new Map<string, Role>();

  constructor(form: RoleForm<Role>) {
    this.#form = form;
  }

  get(name: string): Role | undefined {
    return this.#roles.get(name);
  }

  entries(): Iterable<[name: string, role: Role]> {
    return this.#roles;
  }

  list({ operation }: VaultCall): VaultReply {
    return operation === 'list' ? answerKeys([...this.#roles.keys()]) : unsupportedOperation();
  }

  handle(call: VaultCall, name: string): VaultReply {
    const former = this.#roles.get(name) ?? null;
    switch (call.operation) {
      case 'read':
        return former === null ? notFound() : answerData(this.#form.describe(former));
      case 'delete':
        this.#roles.delete(name);
        return done();
      case 'update': {
        const role = this.#form.read(call.fields, former);
        if (isRefusal(role)) return role;
        if (former === null && this.#roles.size >= MAX_ROLES) return refuse(500, 'internal error');
        this.#roles.set(name, role);
        return done();
      }
      default:
        return unsupportedOperation();
    }
  }
}

const isRefusal = (role: object): role is Refusal => 'kind' in role && role.kind === 'refusal';
