import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../../src/core/errors.ts';
import { createKeyringSource } from '../../../../src/credential/sources/keyring.ts';
import { systemClock } from '../../../../src/system-clock.ts';
import { CANARY, workload } from '../permits.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyring-source-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program in the place of the system's; the real one is in test/contract/keyring.test.ts. */
async function ask(script: string): Promise<string> {
  const programPath = join(folder, 'program');
  writeFileSync(programPath, `#!/bin/sh\n${script}\n`);
  chmodSync(programPath, 0o700);
  const options = { kind: 'keyring', name: 'k', service: 'open ai', account: 'me', busAddress: null } as const;
  const source = createKeyringSource(options, { clock: systemClock, ownUid: userInfo().uid, programPath });
  try {
    const grant = await source.fetch(workload(), new AbortController().signal);
    return grant.parts.get('key')?.reveal().toString() ?? '';
  } catch (thrown) {
    if (!(thrown instanceof EgressError)) throw thrown;
    expect(JSON.stringify(thrown)).not.toContain('canary');
    return `${thrown.code}: ${thrown.detail}`;
  }
}

describe('the keyring', () => {
  it('is asked for the service and the account', async () => {
    expect(await ask(`echo "$@"`)).toMatch(/open ai.* me/);
    expect(await ask(`printf '${CANARY}'`)).toBe(CANARY);
  });

  it('says what to look at where it has nothing', async () => {
    expect(await ask(`echo ${CANARY} >&2; exit 1`)).toMatch(/credential_unavailable: .*locked/);
    expect(await ask(':')).toMatch(/credential_unavailable: .*no such key/);
    expect(await ask(`printf '${CANARY}\\nmore\\n'`)).toMatch(/credential_invalid: .*control character/);
  });
});
