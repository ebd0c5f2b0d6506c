/** Duty: `upstream.proxy` of the Proxy document: the proxy of the network that this one stands in. */
import type { CorporateProxyOptions } from '../upstream/options.ts';
import { canonicalHost } from './compile-service.ts';
import { type Path, quoted } from './problems.ts';
import type { ProxyReader, ProxySpec } from './proxy-reader.ts';

type CorporateProxy = NonNullable<NonNullable<ProxySpec['upstream']>['proxy']>;

export function compileCorporateProxy(given: CorporateProxy, read: ProxyReader): CorporateProxyOptions {
  const at = (...keys: Path): Path => ['spec', 'upstream', 'proxy', ...keys];
  const { address, caFile, username, password, except = [] } = given;
  const scheme = address.startsWith('https:') ? 'https' : 'http';
  const [, host = '', port] = /^https?:\/\/(\[[^\]]+\]|[^:]+)(?::([0-9]{1,5}))?$/.exec(address) ?? [];
  const canonical = canonicalHost(host.replace(/^\[|\]$/g, ''));
  if ('fault' in canonical) read.report(at('address'), `${quoted(address)} ${canonical.fault}`, canonical.hint);
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))
    read.report(at('address'), `${port} is no port`, 'write one from 1 to 65535');
  if ((username === undefined) !== (password === undefined))
    read.report(at(), 'username and password belong together', 'write both, or none');
  if (username !== undefined && scheme === 'http')
    read.warn(at('address'), 'the password of the proxy crosses the network in clear; use https');
  if (caFile !== undefined && scheme === 'http')
    read.report(at('caFile'), 'a proxy without TLS has no certificate', 'write https, or leave caFile out');
  const [caPem = null] = caFile === undefined ? [] : read.roots(at('caFile'), [caFile]);
  const login =
    username === undefined || password === undefined
      ? null
      : {
          username,
          password: {
            path: read.path(password.file) ?? password.file,
            isGroupReadable: password.groupReadable ?? false,
          },
        };
  const isNetwork = (each: string): boolean => each.includes('/');
  return {
    scheme,
    host: 'fault' in canonical ? host : canonical.text,
    port: port === undefined ? null : Number(port),
    ...{ caPem, login },
    except: {
      hosts: except.flatMap((each, i) => (isNetwork(each) ? [] : [read.pattern(at('except', i), each)])),
      networks: except.flatMap((each, i) => (isNetwork(each) ? read.network(at('except', i), each) : [])),
    },
  };
}
