/**
 * Duty: a credential on the private channel.
 * In → Out: `Credential` → `u32 length | facts as JSON | (u8 length | name | u32 length | bytes)…`, and back.
 * Holds: the parts travel as bytes and are never text; who reads copies them into `Secret`s of its own. Facts alone mean
 *   that the receiver has the parts already.
 * Threat: the only room beside injection and sources that reveals: a worker can inject only what it has.
 */
import { allocateSecretBytes, Secret } from '../core/secret.ts';
import type { Credential, CredentialPart } from '../credential/credential.ts';
import { SecretBody } from './channel.ts';
import type { CredentialFacts } from './topics.ts';

export function credentialBody(
  { source, generation, key, lease, parts }: Credential,
  withParts: boolean,
): SecretBody | Buffer {
  const facts: CredentialFacts = { source, generation, key, lease };
  const text = Buffer.from(JSON.stringify(facts), 'utf8');
  const shown = withParts ? [...parts] : [];
  const size = shown.reduce((sum, [name, secret]) => sum + 5 + name.length + secret.byteLength, 4 + text.length);
  const bytes = allocateSecretBytes(size);
  let at = bytes.writeUInt32LE(text.length, 0);
  at += text.copy(bytes, at);
  for (const [name, secret] of shown) {
    at = bytes.writeUInt8(name.length, at);
    at += bytes.write(name, at, 'latin1');
    at = bytes.writeUInt32LE(secret.byteLength, at);
    at += secret.reveal().copy(bytes, at);
  }
  return withParts ? new SecretBody(bytes) : bytes;
}

export function readCredentialBody(body: Buffer): {
  readonly facts: CredentialFacts;
  readonly parts: ReadonlyMap<CredentialPart, Secret>;
} {
  const textEnd = 4 + body.readUInt32LE(0);
  const facts = JSON.parse(body.toString('utf8', 4, textEnd)) as CredentialFacts;
  const parts = new Map<CredentialPart, Secret>();
  for (let at = textEnd; at < body.length; ) {
    const nameEnd = at + 1 + body.readUInt8(at);
    const name = body.toString('latin1', at + 1, nameEnd) as CredentialPart;
    const end = nameEnd + 4 + body.readUInt32LE(nameEnd);
    parts.set(name, Secret.copyOf(body.subarray(nameEnd + 4, end)));
    at = end;
  }
  return { facts, parts };
}
