/**
 * Duty: the gateway of the Proxy document, and what it is called by.
 * Holds: beyond loopback there is TLS, for every request carries a token.
 * Not here: how the files of a certificate are read (listener/).
 */
import { parseIp } from '../core/ip-address.ts';
import type { GatewayListenOptions } from './configuration.ts';
import type { Path } from './problems.ts';
import type { ProxyReader, ProxySpec } from './proxy-reader.ts';

const PORT = 10_082;
const AT: Path = ['spec', 'listeners', 'gateway'];

type Given = NonNullable<NonNullable<ProxySpec['listeners']>['gateway']>;

/** Null: there is none. */
export function compileGatewayListener(
  { listeners, workers = 1 }: ProxySpec,
  read: ProxyReader,
): GatewayListenOptions | null {
  const given = listeners?.gateway;
  if (given === undefined) return null;
  const listen = read.listen(given, AT, PORT);
  const tls = tlsOf(given, read);
  if (tls === null && !isLoopback(listen.address))
    read.report(
      [...AT, 'address'],
      'without TLS the gateway listens on loopback alone, for every request carries a token',
      'write certificate: issuingCA, or certificateFile and keyFile; or address: 127.0.0.1',
    );
  if (tls !== null && typeof tls !== 'string' && workers > 1)
    read.report(
      [...AT, 'keyFile'],
      'worker processes read no key',
      'write certificate: issuingCA, or leave out workers',
    );
  const isWildcard = listen.address === '0.0.0.0' || listen.address === '::';
  if (tls !== null && given.names === undefined && isWildcard)
    read.report(AT, '"names" is missing', 'name what clients call the gateway; an address for all is no name');
  const names = given.names ?? (isWildcard ? [] : [listen.address]);
  return { ...listen, names: names.flatMap((name, i) => read.host([...AT, 'names', i], name) ?? []), tls };
}

function tlsOf({ certificate, certificateFile, keyFile }: Given, read: ProxyReader): GatewayListenOptions['tls'] {
  if (certificateFile === undefined && keyFile === undefined) return certificate ?? null;
  if (certificateFile === undefined || keyFile === undefined)
    read.report(AT, 'certificateFile and keyFile belong together', 'write both, or neither');
  if (certificate !== undefined)
    read.report(
      [...AT, 'certificate'],
      'there are two certificates',
      'leave out certificate, or certificateFile and keyFile',
    );
  return {
    certificateFile: read.path(certificateFile) ?? certificateFile ?? '',
    keyFile: read.path(keyFile) ?? keyFile ?? '',
  };
}

function isLoopback(address: string): boolean {
  const bytes = parseIp(address);
  if (bytes?.length === 4) return bytes[0] === 127;
  return address === '::1';
}
