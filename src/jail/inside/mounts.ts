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
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Entry, MountPlan, MountStep, Tools } from '../words.ts';

/** Of what a command writes into a hidden folder. */
const FOLDER_LIMIT = 'size=64m';
const MEMORY_LIMIT = 'size=50%';

/** Where much may be put for a while. */
const SHARED = new Set(['/tmp', '/var/tmp']);

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

  /**
   * Afterwards the working directory is the stage's own, which no path leads to: what covers the stage's path in the meantime does
   * not hide what is taken from it.
   * @throws MountFailure
   */
  lay(root: Entry['root']): void {
    const { steps, stage, expectedFolders } = this.#plan;
    this.#mount('/proc', '-t', 'proc', '-o', 'nosuid,nodev,noexec', 'proc');
    this.#openStage(root);
    const kept = new Map<string, string>();
    for (const step of steps) if (step.do === 'show' && step.at !== stage) kept.set(step.at, this.#keep(step));
    this.#mount('/dev', '--move', this.#makeDevices());
    for (const step of steps) {
      if (step.do === 'hideFolder') this.#hideFolder(step.at, step.links);
      else if (step.do === 'readOnly') this.#mount(step.at, '-o', ['remount', 'bind', 'ro', ...step.flags].join(','));
      else if (step.do === 'hideFile') this.#bind(place(this.#next(), false), step.at);
      else if (step.at === stage)
        // Without what is put away in it.
        this.#mount(place(stage, true), '--bind', '..');
      else this.#mount(place(step.at, step.isFolder), '--move', kept.get(step.at) ?? '');
    }
    for (const folder of expectedFolders) mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#cover();
  }

  #openStage({ name, pem }: Entry['root']): void {
    const { stage, rootsFile, bundleFile, trustStore, rootFolder } = this.#plan;
    const [bundle, store] = [readFileSync(rootsFile), readFileSync(trustStore)];
    this.#mount(stage, '-t', 'tmpfs', '-o', `mode=700,${FOLDER_LIMIT}`, 'tmpfs');
    mkdirSync(`${stage}/.jail`);
    writeFileSync(bundleFile, bundle, { mode: 0o444 });
    writeFileSync(trustStore, store, { mode: 0o444 });
    process.chdir(`${stage}/.jail`);
    writeFileSync('resolver', RESOLVER, { mode: 0o444 });
    if (rootFolder === null) return;
    cpSync(rootFolder, `${stage}/.jail/roots`, { recursive: true, verbatimSymlinks: true });
    writeFileSync(freeName('roots', name), pem, { mode: 0o444 });
  }

  /** Out of the way of what is going to cover it. */
  #keep({ at, isFolder }: Extract<MountStep, { do: 'show' }>): string {
    const from = place(this.#next(), isFolder);
    this.#bind(at, from);
    return from;
  }

  #next(): string {
    this.#made += 1;
    return String(this.#made);
  }

  #hideFolder(at: string, links: readonly (readonly [string, string])[]): void {
    // Its own rights stay: /run is everybody's to read, /tmp to write.
    const mode = (statSync(at).mode & 0o1777).toString(8);
    this.#mount(
      at,
      '-t',
      'tmpfs',
      '-o',
      `mode=${mode},nosuid,nodev,${SHARED.has(at) ? MEMORY_LIMIT : FOLDER_LIMIT}`,
      'tmpfs',
    );
    for (const [name, target] of links) symlinkSync(target, `${at}/${name}`);
  }

  /** Beside /dev until it is whole: it is made of what /dev has. */
  #makeDevices(): string {
    const dev = place(this.#next(), true);
    this.#mount(dev, '-t', 'tmpfs', '-o', `mode=755,nosuid,noexec,${FOLDER_LIMIT}`, 'tmpfs');
    for (const name of DEVICES) this.#bind(`/dev/${name}`, place(`${dev}/${name}`, false));
    for (const [name, target] of DEVICE_LINKS) symlinkSync(target, `${dev}/${name}`);
    mkdirSync(`${dev}/pts`);
    this.#mount(`${dev}/pts`, '-t', 'devpts', '-o', 'newinstance,ptmxmode=0666,mode=620,nosuid,noexec', 'devpts');
    mkdirSync(`${dev}/shm`);
    this.#mount(`${dev}/shm`, '-t', 'tmpfs', '-o', `mode=1777,nosuid,nodev,${MEMORY_LIMIT}`, 'tmpfs');
    return dev;
  }

  /** The CA in place of the system's roots, and the jail's own name server. */
  #cover(): void {
    const { rootFolder, rootFiles, javaStores, bundleFile, trustStore, resolver } = this.#plan;
    if (rootFolder !== null) this.#bind('roots', rootFolder);
    for (const at of rootFiles) this.#bind(`../${basename(bundleFile)}`, at);
    for (const at of javaStores) this.#bind(`../${basename(trustStore)}`, at);
    // It may have been in a folder that is hidden now.
    if (resolver !== null) this.#bind('resolver', place(resolver, false));
  }

  #bind(from: string, at: string): void {
    this.#mount(at, '--rbind', from);
  }

  #mount(at: string, ...how: readonly string[]): void {
    // Paths are real, and those of the stage are to be taken as they are.
    const { status, stderr, error } = spawnSync(this.#tools.mount, ['-n', '-c', ...how, at], { encoding: 'utf8' });
    if (status !== 0) throw new MountFailure(`mount ${how.join(' ')} ${at}: ${(error?.message ?? stderr).trim()}`);
  }
}

/** Made where it is not there; only in file systems of ours. */
function place(path: string, isFolder: boolean): string {
  mkdirSync(dirname(path), { recursive: true });
  if (isFolder) mkdirSync(path, { recursive: true });
  else if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 });
  return path;
}

/** `1a2b3c4d` → `roots/1a2b3c4d.0`, or the next number that is free. */
function freeName(folder: string, hash: string): string {
  let number = 0;
  while (existsSync(`${folder}/${hash}.${number}`)) number += 1;
  return `${folder}/${hash}.${number}`;
}
