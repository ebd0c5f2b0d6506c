/**
 * Duty: control groups of version 2 for tests: made, joined by real processes, removed.
 * Holds: what was there before stays; `remove` waits until the last process of a group has ended.
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

export class ControlGroups {
  readonly #mount: string;
  readonly #made: string[] = [];

  private constructor(mount: string) {
    this.#mount = mount;
  }

  /** Null where groups of version 2 cannot be made: not Linux, not root, or nothing of them is mounted. */
  static open(): ControlGroups | null {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return null;
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    const mount = mounts.find((line) => / - cgroup2 /.test(line))?.split(' ')[4];
    if (mount === undefined) return null;
    const probe = join(mount, `countersign-probe-${process.pid}`);
    try {
      accessSync(mount, constants.W_OK);
      mkdirSync(probe);
      rmdirSync(probe);
      return new ControlGroups(mount);
    } catch {
      return null;
    }
  }

  /** Makes the group and what is missing above it. */
  make(path: string): string {
    const whole = join(this.#mount, path);
    const missing: string[] = [];
    for (let each = whole; !existsSync(each); each = dirname(each)) missing.push(each);
    for (const each of missing.reverse()) {
      mkdirSync(each);
      this.#made.push(each);
    }
    return whole;
  }

  join(path: string, pid: number): void {
    writeFileSync(join(this.make(path), 'cgroup.procs'), String(pid));
  }

  /** For `/bin/sh -c`: joins, then becomes the program that its arguments name. */
  joining(path: string): string {
    return `echo $$ > ${join(this.make(path), 'cgroup.procs')} && exec "$0" "$@"`;
  }

  async remove(): Promise<void> {
    for (const path of this.#made.splice(0).reverse()) {
      for (let tries = 0; tries < 100 && existsSync(path); tries++) {
        try {
          rmdirSync(path);
        } catch {
          await after(20);
        }
      }
    }
  }
}
