import { describe, expect, it } from 'vitest';
import type { Operation, VaultCall } from '../../../../src/sandbox/vault/call.ts';
import { Fields } from '../../../../src/sandbox/vault/fields.ts';
import { refuse, type VaultReply } from '../../../../src/sandbox/vault/reply.ts';
import { RoleTable } from '../../../../src/sandbox/vault/role-table.ts';

interface Role {
  readonly size: number;
}

const table = (): RoleTable<Role> =>
  new RoleTable({
    read: (fields, former) => {
      const size = fields.integer('size', former?.size);
      return fields.refusal() ?? (size > 9 ? refuse(400, 'too large') : { size });
    },
    describe: ({ size }) => ({ size }),
  });

function call(operation: Operation, fields: object = {}): VaultCall {
  const path = 'role/one';
  return {
    ...{ operation, path, fields: Fields.ofObject(fields) },
    fullPath: `auth/test/${path}`,
    isWrapped: false,
    token: null,
    leaseId: '',
  };
}

const shown = (reply: VaultReply): unknown => (reply.kind === 'answer' ? reply.data : reply.status);

describe('a table of roles', () => {
  it('keeps the former role where the new one is refused', () => {
    const roles = table();
    expect(roles.handle(call('update', { size: 3 }), 'one')).toMatchObject({ status: 204 });
    expect(roles.handle(call('update', { size: 10 }), 'one')).toEqual(refuse(400, 'too large'));
    expect(roles.handle(call('update'), 'one')).toMatchObject({ status: 204 });
    expect(shown(roles.handle(call('read'), 'one'))).toEqual({ size: 3 });
    expect(shown(roles.list(call('list')))).toEqual({ keys: ['one'] });
  });

  it('says of a role that was deleted, or is asked in another way, what Vault says', () => {
    const roles = table();
    roles.handle(call('update', { size: 3 }), 'one');
    expect(shown(roles.handle(call('patch'), 'one'))).toBe(405);
    expect(shown(roles.list(call('read')))).toBe(405);
    expect(shown(roles.handle(call('delete'), 'one'))).toBe(204);
    expect(shown(roles.handle(call('read'), 'one'))).toBe(404);
    expect(roles.get('one')).toBeUndefined();
    expect(shown(roles.list(call('list')))).toBe(404);
  });

  it('takes no more than a thousand, and changes those that it has', () => {
    const roles = table();
    for (let i = 0; i < 1_000; i++) roles.handle(call('update', { size: 1 }), `role-${i}`);
    expect(shown(roles.handle(call('update', { size: 1 }), 'one-more'))).toBe(500);
    expect(shown(roles.handle(call('update', { size: 2 }), 'role-0'))).toBe(204);
    expect(roles.get('role-0')).toEqual({ size: 2 });
    expect([...roles.entries()]).toHaveLength(1_000);
  });
});
