/**
 * Duty: one large body, down or up, on a connection of its own.
 * Holds: every byte must arrive: down they are counted here, up the upstream says how many it got; memory stays flat.
 */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { Way } from '../candidates/candidate.ts';
import { openTls } from './client.ts';
import { getRequest, putHead } from './requests.ts';

const BLOCK = randomFillSync(Buffer.alloc(262_144));
const MAX_SHOWN = 300;

export type Direction = 'down' | 'up';

export async function transfer(way: Way, direction: Direction, bytes: number): Promise<void> {
  const socket = await openTls(way);
  try {
    if (direction === 'down') await download(socket, way, bytes);
    else await upload(socket, way, bytes);
  } finally {
    socket.destroy();
  }
}

function download(socket: TLSSocket, way: Way, bytes: number): Promise<void> {
  socket.write(getRequest(way, `/bytes/${bytes}`));
  return new Promise((resolve, reject) => {
    let head: string | null = '';
    let left = bytes;
    const count = (length: number): void => {
      left -= length;
      if (left === 0) resolve();
      else if (left < 0) reject(new Error('more bytes than asked for'));
    };
    socket.on('data', (chunk: Buffer) => {
      if (head === null) {
        count(chunk.length);
        return;
      }
      const text: string = head + chunk.toString('latin1', 0, chunk.length);
      const end = text.indexOf('\r\n\r\n');
      head = end === -1 ? text : null;
      if (end === -1) return;
      if (!text.startsWith('HTTP/1.1 200') || !/\r\ncontent-length: /i.test(text.slice(0, end + 2))) {
        reject(new Error(`not a 200 with a length: ${text.slice(0, MAX_SHOWN)}`));
      } else count(text.length - end - 4);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`the download ended ${left} bytes early`)));
  });
}

async function upload(socket: TLSSocket, way: Way, bytes: number): Promise<void> {
  let answer = '';
  let over = (): void => undefined;
  const answered = new Promise<void>((resolve) => {
    over = resolve;
  });
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1', 0, chunk.length);
    if (/\r\n\r\n./s.test(answer)) over();
  });
  socket.on('error', over);
  socket.on('close', over);
  socket.write(putHead(way, '/upload', bytes));
  for (let left = bytes; left > 0 && !socket.destroyed && answer === ''; left -= BLOCK.length) {
    const flows = socket.write(left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left));
    if (!flows) await Promise.race([once(socket, 'drain'), answered]);
  }
  await answered;
  if (!answer.startsWith('HTTP/1.1 200') || !answer.endsWith(`\r\n\r\n${bytes}`)) {
    throw new Error(`the upload was not taken whole: ${answer.slice(0, MAX_SHOWN) || 'the connection was closed'}`);
  }
}
