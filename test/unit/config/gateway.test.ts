import { describe, expect, it } from 'vitest';
import { binding, documentOf, identity, load, proxy, refusals, service, source } from './policy-text.ts';

const withGateway = (gateway: string, more = ''): string => proxy(`{ ${more}listeners: { gateway: ${gateway} } }`);
/** Without the place. */
const saying = (text: string): string[] => refusals(text).map((line) => line.replace(/^\S+ \S+ /, ''));
const gatewayOf = (text: string): unknown => load(text).proxy.listeners.gateway;

describe('listeners.gateway', () => {
  it('is there only where it is asked for, on loopback and in clear', () => {
    expect(gatewayOf(proxy('{}'))).toBeNull();
    expect(gatewayOf(withGateway('{}'))).toEqual({
      ...{ address: '127.0.0.1', port: 10_082, tls: null },
      names: [{ kind: 'ipv4', text: '127.0.0.1' }],
    });
    expect(gatewayOf(withGateway('{ address: "::1", port: 0, names: [agents.internal] }'))).toEqual({
      ...{ address: '::1', port: 0, tls: null },
      names: [{ kind: 'name', text: 'agents.internal' }],
    });
  });

  it('may be anywhere inside TLS', () => {
    expect(gatewayOf(withGateway('{ address: 10.0.0.7, certificate: issuingCA }'))).toMatchObject({
      ...{ tls: 'issuingCA', names: [{ kind: 'ipv4', text: '10.0.0.7' }] },
    });
    const files = '{ address: 0.0.0.0, names: [g.test], certificateFile: g.pem, keyFile: /k/g.pem }';
    expect(gatewayOf(withGateway(files))).toMatchObject({
      tls: { certificateFile: expect.stringMatching(/^\/.*g\.pem$/), keyFile: '/k/g.pem' },
    });
    expect(gatewayOf(withGateway('{ certificate: issuingCA }', 'workers: 2, '))).toMatchObject({ tls: 'issuingCA' });
  });

  it.each([
    [
      '{ address: 10.0.0.7 }',
      'without TLS the gateway listens on loopback alone, for every request carries a token; write certificate: issuingCA, or certificateFile and keyFile; or address: 127.0.0.1',
    ],
    [
      '{ address: 0.0.0.0, names: [g.test] }',
      'without TLS the gateway listens on loopback alone, for every request carries a token; write certificate: issuingCA, or certificateFile and keyFile; or address: 127.0.0.1',
    ],
    [
      '{ address: 0.0.0.0, certificate: issuingCA }',
      '"names" is missing; name what clients call the gateway; an address for all is no name',
    ],
    ['{ certificateFile: a.pem }', 'certificateFile and keyFile belong together; write both, or neither'],
    [
      '{ certificate: issuingCA, certificateFile: a.pem, keyFile: b.pem }',
      'there are two certificates; leave out certificate, or certificateFile and keyFile',
    ],
    ['{ names: [G.Test] }', '"G.Test" is not spelled canonically; write g.test'],
    ['{ certificate: svid }', 'the text "svid" is not "issuingCA"; write issuingCA'],
    ['{ adress: 127.0.0.1 }', 'unknown key "adress"; did you mean "address"?'],
  ])('is refused: %s', (gateway, expected) => expect(saying(withGateway(gateway))).toEqual([expected]));

  it('gives no key to workers', () => {
    expect(saying(withGateway('{ certificateFile: a.pem, keyFile: b.pem }', 'workers: 2, '))).toEqual([
      'worker processes read no key; write certificate: issuingCA, or leave out workers',
    ]);
  });
});

describe('base URLs of a preset', () => {
  const of = (baseUrls: string): string =>
    documentOf('Preset', 'acme', `{ injection: { bearer: {} }, baseUrls: ${baseUrls} }`) +
    service('{ addresses: [{ address: api.acme.test }], provider: acme }') +
    identity() +
    source() +
    binding();

  it('are variables, with a path and a key', () => {
    const { services } = load(of('[{ variable: ACME_URL, path: /v1, key: ACME_KEY }, { variable: ACME_HOST }]')).policy;
    expect(services[0]?.preset?.baseUrls).toEqual([
      { variable: 'ACME_URL', path: '/v1', key: 'ACME_KEY' },
      { variable: 'ACME_HOST', path: '' },
    ]);
  });

  it.each([
    ['[{ path: /v1 }]', '"variable" is missing; the name of a variable, for example ACME_BASE_URL'],
    ['[{ variable: acme-url }]', 'the text "acme-url" is not the name of a variable; for example ACME_BASE_URL'],
    ['[{ variable: A, path: v1/ }]', 'the text "v1/" is not a path without a final slash; for example /v1'],
  ])('are refused: %s', (baseUrls, expected) => expect(saying(of(baseUrls))).toContain(expected));
});
