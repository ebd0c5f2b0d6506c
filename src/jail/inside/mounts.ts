/**
 * Duty: lays a MountPlan over the mount namespace.
 * In → Out: plan → the file system that the command will see.
 * Holds: what is hidden is an empty file system of its own, in memory and bounded; nothing of the host is changed, for every
 *   write here goes to such a one; a step that fails ends it all. /proc shows this namespace's processes alone, /dev the harmless
 *   devices and terminals of its own.
 * Source: mount(8), mount_namespaces(7) (mounts that came from outside cannot be taken off again inside).
 * Not here: what to hide (../mount-plan.ts).
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Entry, MountPlan, Tools } from '../words.ts';

/** Of what a command writes into a hidden folder. */
const FOLDER_LIMIT = 'size=64m';
const MEMORY_LIMIT = 'size=50%';

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const DEVICE_LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
] as const;

const RESOLVER = 'nameserver 127.0.0.1\nsearch .\n';

/** Said to the user as it is. */
export class MountFailure extends Error {
  override readonly name = 'MountFailure';
}

export class Mounts {
  readonly #tools: Tools;
  readonly #plan: MountPlan;
  #made = 0;

  constructor(tools: Tools, plan: MountPlan) {
    this.#tools = tools;
    this.#plan = plan;
  }

  /** @throws MountFailure */
  lay(root: Entry['root']): void {
    const { stage, shown, folders, files } = this.#plan;
    this.#mount('/proc', '-t', 'proc', '-o', 'nosuid,nodev,noexec', 'proc');
    this.#openStage();
    const kept = shown.map(({ at, isFolder }) => ({ at, isFolder, from: this.#keep(at, isFolder) }));
    const dev = this.#makeDevices();
    for (const { at, links } of folders) this.#hideFolder(at, links);
    for (const at of files) this.#bind(this.#emptyFile(), at);
    this.#mount('/dev', '--move', dev);
    for (const { at, isFolder, from } of kept) this.#bind(from, this.#place(at, isFolder));
    this.#coverRoots(root);
    this.#coverResolver();
    for (const { from } of kept) this.#run(this.#tools.umount, '-n', '--lazy', from);
    rmSync(`${stage}/.jail`, { recursive: true, force: true });
  }

  #openStage(): void {
    const { stage, bundleFile, trustStore } = this.#plan;
    const [bundle, store] = [readFileSync(bundleFile), readFileSync(trustStore)];
    this.#mount(stage, '-t', 'tmpfs', '-o', `mode=700,${FOLDER_LIMIT}`, 'tmpfs');
    mkdirSync(`${stage}/.jail`);
    writeFileSync(bundleFile, bundle, { mode: 0o444 });
    writeFileSync(trustStore, store, { mode: 0o444 });
    writeFileSync(`${stage}/.jail/resolver`, RESOLVER, { mode: 0o444 });
  }

  /** Out of the way of what is going to cover it. */
  #keep(at: string, isFolder: boolean): string {
    const from = this.#place(this.#next(), isFolder);
    this.#bind(at, from);
    return from;
  }

  #next(): string {
    this.#made += 1;
    return `${this.#plan.stage}/.jail/${this.#made}`;
  }

  #emptyFile(): string {
    return this.#place(this.#next(), false);
  }

  /** Made where it is not there; only in file systems of ours. */
  #place(path: string, isFolder: boolean): string {
    mkdirSync(dirname(path), { recursive: true });
    if (isFolder) mkdirSync(path, { recursive: true });
    else if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 });
    return path;
  }

  #hideFolder(at: string, links: readonly (readonly [string, string])[]): void {
    // Its own rights stay: /run is everybody's to read.
    const mode = (statSync(at).mode & 0o755).toString(8);
    this.#mount(at, '-t', 'tmpfs', '-o', `mode=${mode},nosuid,nodev,${FOLDER_LIMIT}`, 'tmpfs');
    for (const [name, target] of links) symlinkSync(target, `${at}/${name}`);
    const { runtimeFolder } = this.#plan;
    if (runtimeFolder?.startsWith(`${at}/`)) mkdirSync(runtimeFolder, { recursive: true, mode: 0o700 });
  }

  /** Beside /dev until it is whole: it is made of what /dev has. */
  #makeDevices(): string {
    const dev = this.#place(this.#next(), true);
    this.#mount(dev, '-t', 'tmpfs', '-o', `mode=755,nosuid,noexec,${FOLDER_LIMIT}`, 'tmpfs');
    for (const name of DEVICES) this.#bind(`/dev/${name}`, this.#place(`${dev}/${name}`, false));
    for (const [name, target] of DEVICE_LINKS) symlinkSync(target, `${dev}/${name}`);
    mkdirSync(`${dev}/pts`);
    this.#mount(`${dev}/pts`, '-t', 'devpts', '-o', 'newinstance,ptmxmode=0666,mode=620,nosuid,noexec', 'devpts');
    mkdirSync(`${dev}/shm`);
    this.#mount(`${dev}/shm`, '-t', 'tmpfs', '-o', `mode=1777,nosuid,nodev,${MEMORY_LIMIT}`, 'tmpfs');
    return dev;
  }

  #coverRoots({ name, pem }: Entry['root']): void {
    const { rootFolder, rootFiles, javaStores, bundleFile, trustStore } = this.#plan;
    if (rootFolder !== null) {
      const original = this.#keep(rootFolder, true);
      this.#mount(rootFolder, '-t', 'tmpfs', '-o', `mode=755,nosuid,nodev,${FOLDER_LIMIT}`, 'tmpfs');
      cpSync(original, rootFolder, { recursive: true, verbatimSymlinks: true });
      this.#run(this.#tools.umount, '-n', '--lazy', original);
      writeFileSync(`${rootFolder}/${freeName(rootFolder, name)}`, pem, { mode: 0o444 });
      chmodSync(rootFolder, 0o755);
    }
    for (const at of rootFiles) this.#bind(bundleFile, at);
    for (const at of javaStores) this.#bind(trustStore, at);
  }

  #coverResolver(): void {
    const { resolver, stage } = this.#plan;
    if (resolver === null) return;
    // It may have been in a folder that is hidden now.
    if (existsSync(resolver)) this.#bind(`${stage}/.jail/resolver`, resolver);
    else {
      mkdirSync(dirname(resolver), { recursive: true });
      writeFileSync(resolver, RESOLVER, { mode: 0o444 });
    }
  }

  #bind(from: string, at: string): void {
    this.#mount(at, '--rbind', from);
  }

  #mount(at: string, ...how: readonly string[]): void {
    this.#run(this.#tools.mount, '-n', ...how, at);
  }

  #run(program: string, ...args: readonly string[]): void {
    const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new MountFailure(`${args.join(' ')}: ${(error?.message ?? stderr).trim()}`);
  }
}

/** `1a2b3c4d` → `1a2b3c4d.0`, or the next number that is free. */
function freeName(folder: string, hash: string): string {
  let number = 0;
  while (existsSync(`${folder}/${hash}.${number}`)) number += 1;
  return `${hash}.${number}`;
}
