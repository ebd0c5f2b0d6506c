/**
 * Duty: whether the JDK would use the proxy and trust its CA: it reads no variable but JAVA_TOOL_OPTIONS, and no PEM file.
 * In → Out: the options, the certificate that the proxy showed → a finding.
 * Holds: looks into key stores of the form JKS alone, which `countersign run` writes; of another it says that it cannot tell.
 * Source: Java Networking and Proxies; JSSE Reference Guide (javax.net.ssl.trustStore); the JKS format.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientFinding } from './examine.ts';

const CLIENT = 'Java (HttpClient, AWS SDK)';
const NOTE = "the JDK's clients and OkHttp need an authenticator with the user of HTTPS_PROXY, too";
const JKS = 0xfeedfeed;
const MARK = Buffer.from('\0\x05X.509', 'latin1');

/** `leaf` null: nothing was shown. */
export function judgeJava(options: string, leaf: X509Certificate | null, isRedirected: boolean): ClientFinding {
  const found = (state: ClientFinding['state'], next: string | null): ClientFinding => ({
    ...{ client: CLIENT, state, next },
    note: isRedirected ? null : NOTE,
  });
  if (!isRedirected && !/-Dhttps\.proxyHost=\S/.test(options))
    return found('no proxy', 'set JAVA_TOOL_OPTIONS to -Dhttps.proxyHost=… -Dhttps.proxyPort=…');
  if (leaf === null) return found('unknown', null);
  const store = /"-Djavax\.net\.ssl\.trustStore=([^"]+)"|-Djavax\.net\.ssl\.trustStore=(\S+)/.exec(options);
  const path = store?.[1] ?? store?.[2];
  if (path === undefined)
    return found('no trust', 'name a key store with the CA of the proxy: -Djavax.net.ssl.trustStore=…');
  const certificates = certificatesIn(path);
  if (certificates === null)
    return found('unknown', `${path} is no key store of the form JKS, which alone is read here`);
  return certificates.some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
    ? found('ok', null)
    : found('no trust', `${path} has not the CA of the proxy`);
}

/** Null where it is none. */
function certificatesIn(path: string): readonly X509Certificate[] | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return [];
  }
  if (bytes.length < 4 || bytes.readUInt32BE(0) !== JKS) return null;
  const found: X509Certificate[] = [];
  for (
    let at = bytes.indexOf(MARK);
    at !== -1 && at + MARK.length + 4 <= bytes.length;
    at = bytes.indexOf(MARK, at + 1)
  ) {
    const start = at + MARK.length + 4;
    try {
      found.push(new X509Certificate(bytes.subarray(start, start + bytes.readUInt32BE(start - 4))));
    } catch {
      // The mark may stand within a certificate, too.
    }
  }
  return found;
}
