/** Duty: a request to the gateway: whatever its path, Host and key, it goes to one place, without its token. */
import type { Socket } from 'node:net';
import { createAuthority } from '../../../src/core/authority.ts';
import { holdsGatewayKey } from '../../../src/core/gateway-key.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import type { RequestHead } from '../../../src/core/message.ts';
import type { Connection } from '../../../src/listener/connection.ts';
import { gatewayTunnel } from '../../../src/tunnel/gateway.ts';
import { queryWithStandIns, withStandIns } from '../../../src/tunnel/gateway-keys.ts';
import { mutate } from '../mutate.ts';
import { ACCEPTED, finding, REFUSED, type Target, type Verdict } from '../target.ts';

const TOKEN = `cs_${'Zz09-_'.repeat(7)}A`;
const KEYS = [`sk-placeholder-${TOKEN}`, TOKEN, `AKIACSGW${'A2'.repeat(26)}`, 'sk-placeholder-cs_', 'sk-real'];
/** Path, `|`, Authorization. */
const SEEDS = [
  '/svc/v1/models|Bearer KEY',
  '/svc/a/../b/./c|Bearer KEY',
  '/svc/%2e%2e/x|Basic a2V5Og==',
  '/team~svc//x?key=KEY|KEY',
  '/svc|AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0',
  '/svc/?X-Amz-Credential=KEY%2F20260101%2Fus-east-1%2Fs3%2Faws4_request|none',
  '/svc/KEY|Bearer KEY',
];
const END = { address: '127.0.0.1', port: 10_082 };
const CONNECTION: Connection = {
  ...{ id: 'g', socket: {} as Socket, way: 'gateway', remote: END, local: END, acceptedAt: 0 },
};
const PLACE = createAuthority({ kind: 'name', text: 'svc.test' }, 443);
const STAND_INS = { apiKey: 'KEY-OF-THE-PROXY', awsAccessKeyId: 'ID-OF-THE-PROXY' };

export const gatewayTarget: Target = {
  name: 'gateway',
  weight: 4,
  draw: (random) => {
    const text = random.pick(SEEDS).replaceAll('KEY', random.pick(KEYS));
    return { text: mutate(text, random, () => random.pick(SEEDS)) };
  },
  check({ text }) {
    const bar = text.indexOf('|');
    const target = bar === -1 ? text : text.slice(0, bar);
    const headers = HeaderList.of(['Host', '127.0.0.1:10082'], ['Authorization', text.slice(bar + 1)]);
    const mark = target.indexOf('?');
    const path = mark === -1 ? target : target.slice(0, mark);
    const head = headOf(target, path, mark === -1 ? null : target.slice(mark + 1), headers);
    const { gateway: call } = gatewayTunnel(CONNECTION, head, { names: [], locate: () => PLACE });
    if (call === undefined) return finding('a tunnel without a call');
    if (call.fault?.code === 'internal' || call.unidentified?.code === 'internal') return finding('it failed');
    const isRefused = call.fault !== null || call.unidentified !== null;
    return isRefused ? REFUSED : checkCall(head, call.base, call.path);
  },
};

function headOf(target: string, path: string, query: string | null, headers: HeaderList): RequestHead {
  const authority = createAuthority({ kind: 'ipv4', text: END.address }, END.port);
  return {
    ...{ method: 'GET', target, form: 'origin', authority, scheme: null, path, query, version: '1.1', headers },
    ...{ framing: { kind: 'none' }, expectsContinue: false, keepAlive: true },
  };
}

function checkCall(head: RequestHead, base: string, path: string): Verdict {
  const segment = base.slice(base.lastIndexOf('/') + 1);
  if (`/${segment}${path}` !== head.path && `/${segment}` !== head.path) return finding('the path is another one');
  const sent = [
    ...withStandIns(head.headers.fields, STAND_INS).fields.map(({ value }) => value),
    queryWithStandIns(head.query, STAND_INS) ?? '',
    path,
  ].join('\n');
  return holdsGatewayKey(sent) ? finding('a key goes on') : ACCEPTED;
}
