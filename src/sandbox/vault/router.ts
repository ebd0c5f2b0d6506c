/**
 * Duty: one call through the Vault: seal, token and its uses, policy, backend, lease.
 * In → Out: a parsed request → `VaultReply`.
 * Holds: a use is taken before anything else is decided, so that a refused call costs one too; a token on its last use ends after
 *   the call, and a lease that the call made ends with it and is not shown.
 * Source: OpenBao request_handling (behaviour only).
 * Not here: JSON (server.ts), what a path means (the backends).
 */

import { randomText } from '../registry.ts';
import type { Operation, RoutedRequest } from './call.ts';
import { leaseLimits, type Mount } from './mounts.ts';
import { type Capability, isAllowed } from './policies.ts';
import { type Answer, permissionDenied, refuse, unsupportedPath, type VaultReply } from './reply.ts';
import type { VaultState } from './state.ts';
import { answerWithoutToken } from './sys-status.ts';
import type { Token } from './tokens.ts';

const ONE_USE_LEFT =
  'Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.';

/** Paths that ask for `sudo` besides the capability of the operation. */
const SUDO =
  /^(?:sys\/(?:seal|auth\/[^/]+|leases\/(?:revoke-prefix|revoke-force|lookup)\/.*|rotate|audit.*|raw.*)|auth\/token\/(?:accessors\/?|revoke-orphan|create-orphan))$/;

export class Router {
  readonly #state: VaultState;

  constructor(state: VaultState) {
    this.#state = state;
  }

  async handle(request: RoutedRequest): Promise<VaultReply> {
    const open = answerWithoutToken(this.#state, request);
    if (open !== null) return open;
    if (this.#state.isSealed) return refuse(503, 'Vault is sealed');
    if (request.path.split('/').includes('..')) return refuse(400, 'relative paths not supported');
    const mount = this.#state.mounts.find(request.path);
    const rest = mount === null ? '' : request.path.slice(mount.path.length);
    if (mount?.backend.isOpen?.(rest)) return bare(await this.#call(request, mount, null, ''));
    return this.#withToken(request, mount);
  }

  async #withToken(request: RoutedRequest, mount: Mount | null): Promise<VaultReply> {
    const { tokens } = this.#state;
    const token = request.token === '' ? null : tokens.find(request.token);
    if (token === null) return refuse(403, 'permission denied');
    const use = tokens.use(token);
    if (use === 'spent') return permissionDenied();
    const isOk = this.#isAllowed(token, request, mount);
    const leaseId = `${request.path}/${randomText(24)}`;
    const reply = isOk ? await this.#call(request, mount, token, leaseId) : permissionDenied();
    if (use !== 'last') return reply;
    tokens.end(token);
    const madeLease = reply.kind === 'answer' && reply.leaseShown !== null && reply.leaseShown.id !== '';
    return madeLease ? refuse(400, ONE_USE_LEFT) : reply;
  }

  #isAllowed(token: Token, request: RoutedRequest, mount: Mount | null): boolean {
    if (token.policies.includes('root')) return true;
    const { operation, path } = request;
    const wanted: Capability[] = [this.#capability(operation, path, mount)];
    if (SUDO.test(path)) wanted.push('sudo');
    const rules = this.#state.rulesOf(token);
    if (isAllowed(rules, path, wanted)) return true;
    return operation === 'list' && path.endsWith('/') && isAllowed(rules, path.slice(0, -1), wanted);
  }

  #capability(operation: Operation, path: string, mount: Mount | null): Capability {
    if (operation !== 'update' || mount === null) return operation;
    return mount.backend.exists?.(path.slice(mount.path.length)) === false ? 'create' : 'update';
  }

  async #call(request: RoutedRequest, mount: Mount | null, token: Token | null, leaseId: string): Promise<VaultReply> {
    const { operation, path, fields, wrapTtlMs } = request;
    if (mount === null) return refuse(404, `no handler for route "${path}". route entry not found.`);
    if (path.length < mount.path.length) return unsupportedPath();
    const rest = path.slice(mount.path.length);
    const isWrapped = wrapTtlMs > 0;
    const reply = await mount.backend.handle({
      operation,
      path: rest,
      fullPath: path,
      fields,
      isWrapped,
      token,
      leaseId,
    });
    if (reply.kind !== 'answer') return reply;
    if (!/^(?:sys|auth)\//.test(mount.path) && operation === 'read' && reply.data !== null)
      this.#state.counters.reads += 1;
    return reply.lease === null ? reply : this.#keepLease(reply, mount, token, path, leaseId);
  }

  #keepLease(reply: Answer, mount: Mount, token: Token | null, path: string, leaseId: string): VaultReply {
    const { lease } = reply;
    if (lease === null || token === null) return reply;
    const kept = this.#state.leases.register(leaseId, path, lease, token, leaseLimits(mount));
    if (kept === null) return refuse(500, 'internal error');
    return {
      ...reply,
      leaseShown: { id: leaseId, durationMs: kept.ttlMs, renewable: lease.renewable },
      warnings: [...reply.warnings, ...kept.warnings],
    };
  }
}

/** Only calls with a token have their refusals written as a list. */
function bare(reply: VaultReply): VaultReply {
  if (reply.kind !== 'refusal') return reply;
  return {
    ...reply,
    errors: reply.errors.map((error) => /^1 error occurred:\n\t\* (.*)\n\n$/.exec(error)?.[1] ?? error),
  };
}
