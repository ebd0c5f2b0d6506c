import { spawn } from 'node:child_process';

export interface Reading {
  readonly text: string;
  /** `ECONNRESET` and the like; null where the end came in order. */
  readonly error: string | null;
}

/** Reads a unix socket to its end, as a program of that user. */
export function readSocketAs(uid: number, path: string, say = ''): Promise<Reading> {
  const script = `
    const socket = require('node:net').connect(${JSON.stringify(path)});
    let text = '', error = null;
    socket.on('data', (chunk) => (text += chunk)).on('error', (thrown) => (error = thrown.code));
    socket.on('close', () => console.log(JSON.stringify({ text, error })));
    socket.write(${JSON.stringify(say)});`;
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(process.getuid?.() === 0 ? { uid, gid: uid } : {}),
    timeout: 20_000,
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  return new Promise((resolve) => child.once('close', () => resolve(JSON.parse(out) as Reading)));
}
