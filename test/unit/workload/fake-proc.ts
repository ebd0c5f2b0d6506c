/** Duty: a folder that looks like /proc, for what real processes do too seldom: a number that is given out again. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface FakeProcess {
  readonly name: string;
  readonly startTime: number;
  readonly inode: string;
  readonly uid: number;
  readonly stackAt?: number;
  readonly flags?: string;
  readonly parent?: number;
}

export class FakeProc {
  readonly path = mkdtempSync(join(tmpdir(), 'countersign-proc-'));

  write(name: string, text: string): void {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** The row of 127.0.0.1:50000 to 127.0.0.1:10000. */
  socket(state: string, uid: number, inode: number): void {
    this.write(
      'net/tcp',
      `   0: 0100007F:C350 0100007F:2710 ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 ${inode} 1 0\n`,
    );
  }

  /** Instead of what has that number. */
  process(
    pid: number,
    { name, startTime, inode, uid, stackAt = 7, flags = '02004002', parent = 1 }: FakeProcess,
  ): void {
    rmSync(join(this.path, String(pid)), { recursive: true, force: true });
    const fields = ['S', parent, ...new Array<number>(17).fill(0), startTime, 1, 1, 1, 4, 5, stackAt];
    this.write(`${pid}/stat`, `${pid} (a) b) ${fields.join(' ')}\n`);
    this.write(`${pid}/status`, `Tgid:\t${pid}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t5\t5\t5\t5\n`);
    this.write(`${pid}/comm`, `${name}\n`);
    this.write(`${pid}/cmdline`, `${name}\0--flag\0`);
    this.write(`${pid}/cgroup`, '0::/system.slice/agent.service\n');
    this.write(`${pid}/fdinfo/3`, `pos:\t0\nflags:\t${flags}\nmnt_id:\t10\n`);
    this.write(`${pid}/exe-file`, name);
    symlinkSync(join(this.path, `${pid}/exe-file`), join(this.path, `${pid}/exe`));
    mkdirSync(join(this.path, `${pid}/fd`), { recursive: true });
    symlinkSync(`socket:[${inode}]`, join(this.path, `${pid}/fd/3`));
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
