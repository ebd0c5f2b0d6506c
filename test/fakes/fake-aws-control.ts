import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const XMLNS = { iam: 'https://iam.amazonaws.com/doc/2010-05-08/', sts: 'https://sts.amazonaws.com/doc/2011-06-15/' };

/** The calls of STS and IAM that an engine for AWS keys makes (Query protocol, XML). It remembers which users live. */
export class FakeAwsControl {
  /** Name of the IAM user → its access key id, once it has one. */
  readonly users = new Map<string, string | null>();
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly #server: Server;
  #made = 0;

  static async open(): Promise<FakeAwsControl> {
    const handler: { take: (form: URLSearchParams) => string | null } = { take: () => null };
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const xml = handler.take(new URLSearchParams(Buffer.concat(chunks).toString()));
        response.writeHead(xml === null ? 404 : 200, { 'content-type': 'text/xml' });
        response.end(xml ?? errorXml('NoSuchEntity'));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const control = new FakeAwsControl(server);
    handler.take = (form) => control.#answer(form);
    return control;
  }

  private constructor(server: Server) {
    this.#server = server;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** Null: there is no such user. */
  #answer(form: URLSearchParams): string | null {
    const action = form.get('Action') ?? '';
    const user = form.get('UserName') ?? '';
    if (action === 'AssumeRole') return this.#assumeRole(form);
    if (action === 'CreateUser') this.users.set(user, null);
    if (!this.users.has(user)) return null;
    if (action === 'DeleteUser') this.users.delete(user);
    if (action === 'DeleteAccessKey') this.users.set(user, null);
    if (action === 'CreateAccessKey') this.users.set(user, `AKIACONTRACT${String(++this.#made).padStart(8, '0')}`);
    return resultXml('iam', action, this.#resultOf(action, user));
  }

  #resultOf(action: string, user: string): string {
    const keyId = this.users.get(user) ?? null;
    const key = `<UserName>${user}</UserName><AccessKeyId>${keyId ?? ''}</AccessKeyId><Status>Active</Status>`;
    const end = '<IsTruncated>false</IsTruncated>';
    switch (action) {
      case 'CreateUser':
        return `<User><Path>/</Path><UserName>${user}</UserName><UserId>AIDACONTRACT</UserId><Arn>arn:aws:iam::123456789012:user/${user}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></User>`;
      case 'CreateAccessKey':
        return `<AccessKey>${key}<SecretAccessKey>secret-of-${keyId}</SecretAccessKey></AccessKey>`;
      case 'ListAccessKeys':
        return `<AccessKeyMetadata>${keyId === null ? '' : `<member>${key}</member>`}</AccessKeyMetadata>${end}`;
      case 'ListGroupsForUser':
        return `<Groups/>${end}`;
      case 'ListUserPolicies':
        return `<PolicyNames/>${end}`;
      case 'ListAttachedUserPolicies':
        return `<AttachedPolicies/>${end}`;
      default:
        return '';
    }
  }

  #assumeRole(form: URLSearchParams): string {
    const number = ++this.#made;
    const seconds = Number(form.get('DurationSeconds') ?? '3600');
    const expiration = new Date(Date.now() + seconds * 1000).toISOString();
    const session = form.get('RoleSessionName') ?? 'session';
    return resultXml(
      'sts',
      'AssumeRole',
      `<Credentials><AccessKeyId>ASIACONTRACT${String(number).padStart(8, '0')}</AccessKeyId><SecretAccessKey>secret-of-${number}</SecretAccessKey><SessionToken>session-of-${number}</SessionToken><Expiration>${expiration}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROACONTRACT:${session}</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/contract/${session}</Arn></AssumedRoleUser>`,
    );
  }
}

const resultXml = (service: 'iam' | 'sts', action: string, result: string): string =>
  `<${action}Response xmlns="${XMLNS[service]}"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>contract</RequestId></ResponseMetadata></${action}Response>`;

const errorXml = (code: string): string =>
  `<ErrorResponse xmlns="${XMLNS.iam}"><Error><Type>Sender</Type><Code>${code}</Code><Message>no such user</Message></Error><RequestId>contract</RequestId></ErrorResponse>`;
