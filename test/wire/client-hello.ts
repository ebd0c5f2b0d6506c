/** What a TLS client says first, as bytes, for the tests that cut or replace it. */
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

export async function clientHello(servername: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write: (bytes: Buffer, _encoding, done) => {
        resolve(bytes);
        done();
      },
    });
    connectTls({ socket: wire, servername }).on('error', () => {});
  });
}
