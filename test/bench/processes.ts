/**
 * Duty: the candidates and the upstream as processes of their own, each on its core, and the CPU time they used.
 * Source: proc(5), /proc/PID/stat fields 14 and 15 (ticks of 10 ms).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const TICK_US = 10_000;

/** CPU time of a process and its children so far, in `µs`. */
export function cpuTimeUs(pid: number): number {
  const family = [pid, ...childrenOf(pid)];
  return family.reduce((sum, each) => sum + ticksOf(each) * TICK_US, 0);
}

function ticksOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .filter((entry) => {
      try {
        const text = readFileSync(`/proc/${entry}/stat`, 'latin1');
        return text.slice(text.lastIndexOf(')') + 2).split(' ')[1] === String(pid);
      } catch {
        return false;
      }
    })
    .map(Number);
}

export function onCore(
  core: number,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  return spawn('taskset', ['-c', String(core), command, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env });
}

/** nginx with one worker, from a configuration text; its files in `folder`. */
export async function startNginx(
  name: string,
  core: number,
  folder: string,
  port: number,
  http: string,
): Promise<ChildProcess> {
  const file = join(folder, `${name}.conf`);
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${join(folder, `${name}.pid`)}; error_log stderr crit;
     events { worker_connections 4096; }
     http { access_log off; keepalive_requests 1000000; keepalive_timeout 300s; client_body_temp_path ${folder}/${name}-body; proxy_temp_path ${folder}/${name}-proxy; fastcgi_temp_path ${folder}/${name}-f; uwsgi_temp_path ${folder}/${name}-u; scgi_temp_path ${folder}/${name}-s; ${http} }`,
  );
  const child = onCore(core, 'nginx', ['-c', file, '-p', folder]);
  await listening(port);
  return child;
}

export async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const probe = connect(port, '127.0.0.1', () => resolve(true));
      probe.once('error', () => resolve(false));
      probe.once('connect', () => probe.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${port}`);
}

export function require(command: string, how: string): void {
  try {
    execFileSync('which', [command], { stdio: 'ignore' });
  } catch {
    throw new Error(`the benchmark needs ${command}: ${how}`);
  }
}
