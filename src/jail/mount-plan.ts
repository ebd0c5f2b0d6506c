/**
 * Duty: what a jailed command finds where, decided before anything is mounted.
 * In → Out: the user's wishes and a look at the file system → MountPlan.
 * Holds: every place is named by its real path, and by each other path that the same file system has in this namespace; the
 *   proxy's state cannot be shown; the working directory is never hidden. Pure but for the look.
 * Fails: HiddenWorkingDirectory, NoSuchPlace.
 * Not here: the lists (hidden-places.ts), mounting (inside/).
 */

import {
  CREDENTIAL_PLACES,
  JAVA_TRUST_STORES,
  PATH_VARIABLES,
  PREFIXED_PLACES,
  ROOT_FILES,
  ROOT_FOLDERS,
  WAYS_OUT,
} from './hidden-places.ts';
import { otherPathsOf, type SeenMount } from './mount-table.ts';
import type { MountPlan } from './words.ts';

/** A look at the file system as it is outside; paths are absolute. */
export interface Look {
  /** Of what a path leads to; null where nothing is there or nobody may know. */
  kindOf(path: string): 'folder' | 'file' | null;
  realPath(path: string): string | null;
  /** A folder that nobody but its owner may enter. */
  isPrivate(path: string): boolean;
  /** Names in a folder, empty where it cannot be read. */
  namesIn(path: string): readonly string[];
  /** The target of a symbolic link; null where it is none. */
  linkTarget(path: string): string | null;
}

export interface JailPlaces {
  readonly home: string;
  readonly uid: number;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The proxy's alone: state, socket, and the files of keys that its policy names. */
  readonly proxyPaths: readonly string[];
  readonly bundleFile: string;
  readonly trustStore: string;
  /** Of --jail-hide and --jail-show, absolute. */
  readonly hide: readonly string[];
  readonly show: readonly string[];
  /** Paths of unix sockets that somebody listens on. */
  readonly sockets: readonly string[];
  readonly mounts: readonly SeenMount[];
}

/** Said to the user as it is. */
export class JailPlanError extends Error {
  override readonly name = 'JailPlanError';
}

/** Enough for every list here; a mount takes about a millisecond. */
const MAX_FILES = 512;

const isWithin = (path: string, folder: string): boolean =>
  path === folder || folder === '/' || path.startsWith(`${folder}/`);
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** @throws JailPlanError */
export function planMounts(places: JailPlaces, look: Look): MountPlan {
  const shown = places.show.map((path) => existing(path, look, '--jail-show'));
  const forced = [...proxyPlaces(places, look), folderOf(places.bundleFile)];
  const asked = places.hide.map((path) => existing(path, look, '--jail-hide'));
  const usual = usualPlaces(places, look).filter((path) => !shown.some((each) => isWithin(path, each)));
  const hidden = outermost(realPlaces([...forced, ...asked, ...usual], places.mounts, look));
  const folders = hidden.filter((path) => look.kindOf(path) === 'folder');
  const files = hidden.filter((path) => look.kindOf(path) === 'file').slice(0, MAX_FILES);
  refuseHiddenWork(places, shown, folders, look);
  const state = forced.map((path) => look.realPath(path) ?? path);
  const stage = look.realPath(folderOf(places.bundleFile)) ?? folderOf(places.bundleFile);
  const inStage = (path: string): string => `${stage}/${path.slice(path.lastIndexOf('/') + 1)}`;
  return {
    stage,
    bundleFile: inStage(places.bundleFile),
    trustStore: inStage(places.trustStore),
    folders: folders.filter((path) => path !== stage).map((path) => ({ at: path, links: linksIn(path, look) })),
    files,
    shown: shown
      .filter((path) => isWithin(path, '/dev') || folders.some((folder) => isWithin(path, folder)))
      .filter((path) => !state.some((folder) => isWithin(path, folder)))
      .map((path) => ({ at: path, isFolder: look.kindOf(path) === 'folder' })),
    ...rootsOf(places, look),
    resolver: look.realPath('/etc/resolv.conf'),
    runtimeFolder: runtimeFolderOf(places, folders),
  };
}

function existing(path: string, look: Look, option: string): string {
  const real = look.realPath(path);
  if (real === null) throw new JailPlanError(`${option} ${path}: there is no such file or folder`);
  return real;
}

/**
 * A file that is replaced outside comes to light again, for what covered it went with it; so where a folder is private and nobody
 * works in it, all of it is hidden.
 */
function proxyPlaces({ proxyPaths, home, workingDirectory }: JailPlaces, look: Look): string[] {
  return proxyPaths.map((path) => {
    const folder = look.realPath(folderOf(path));
    if (folder === null || look.kindOf(path) === 'folder' || !look.isPrivate(folder)) return path;
    const isInUse = [home, workingDirectory].some((each) => isWithin(look.realPath(each) ?? each, folder));
    return isInUse ? path : folder;
  });
}

/** As the lists have them; what a link leads to is resolved later. */
function usualPlaces({ home, uid, environment, sockets }: JailPlaces, look: Look): string[] {
  const prefixed = PREFIXED_PLACES.flatMap(([folder, prefix]) =>
    look
      .namesIn(folder)
      .filter((name) => name.startsWith(prefix.replace('UID', String(uid))))
      .map((name) => `${folder}/${name}`),
  );
  const named = PATH_VARIABLES.flatMap((name) => (environment[name] ?? '').split(':'));
  const paths = [
    ...CREDENTIAL_PLACES.map((place) => `${home}/${place}`),
    ...WAYS_OUT,
    ...prefixed,
    ...named,
    ...sockets,
  ];
  return paths
    .filter((path) => path.startsWith('/') && path !== '/dev/null')
    .map((path) => look.realPath(path))
    .filter((path) => path !== null);
}

/** What is there, by its real path and by its other ones. */
function realPlaces(paths: readonly string[], mounts: readonly SeenMount[], look: Look): string[] {
  const real = paths.map((path) => look.realPath(path)).filter((path) => path !== null);
  const others = real.flatMap((path) => otherPathsOf(path, mounts)).filter((path) => look.kindOf(path) !== null);
  return [...new Set([...real, ...others])].sort();
}

/** Without what lies in another of them. Sorted in, sorted out. */
const outermost = (paths: readonly string[]): string[] =>
  paths.filter((path) => !paths.some((other) => other !== path && isWithin(path, other)));

/** @throws JailPlanError */
function refuseHiddenWork(
  { workingDirectory, proxyPaths }: JailPlaces,
  shown: readonly string[],
  folders: readonly string[],
  look: Look,
): void {
  const real = look.realPath(workingDirectory) ?? workingDirectory;
  const folder = folders.find((each) => isWithin(real, each));
  if (folder === undefined) return;
  const isState = proxyPaths.some((each) => look.realPath(each) === folder);
  if (!isState && shown.some((each) => isWithin(each, folder) && isWithin(real, each))) return;
  throw new JailPlanError(
    `the working directory ${workingDirectory} is in ${folder}, which the jail hides; ${
      isState ? 'it is the state of the proxy: go elsewhere' : `go elsewhere, or give --jail-show ${workingDirectory}`
    }`,
  );
}

/** NixOS has the system in them, others their lock folder. */
function linksIn(folder: string, look: Look): (readonly [name: string, target: string])[] {
  if (!WAYS_OUT.includes(folder)) return [];
  return look.namesIn(folder).flatMap((name) => {
    const target = look.linkTarget(`${folder}/${name}`);
    return target === null ? [] : [[name, target] as const];
  });
}

function runtimeFolderOf({ environment }: JailPlaces, folders: readonly string[]): string | null {
  const named = environment['XDG_RUNTIME_DIR'];
  return named !== undefined && folders.some((folder) => isWithin(named, folder)) ? named : null;
}

function rootsOf({ environment }: JailPlaces, look: Look): Pick<MountPlan, 'rootFiles' | 'javaStores' | 'rootFolder'> {
  const found = (paths: readonly string[]): string[] => [
    ...new Set(paths.flatMap((path) => (look.kindOf(path) === 'file' ? [look.realPath(path) ?? path] : []))),
  ];
  const javaHome = environment['JAVA_HOME'];
  const own =
    javaHome === undefined ? [] : [`${javaHome}/lib/security/cacerts`, `${javaHome}/jre/lib/security/cacerts`];
  const installed = look
    .namesIn('/usr/lib/jvm')
    .flatMap((name) => ['lib', 'jre/lib'].map((part) => `/usr/lib/jvm/${name}/${part}/security/cacerts`));
  const hashed = ROOT_FOLDERS.map((path) => look.realPath(path)).find(
    (path) =>
      path !== null && path !== undefined && look.namesIn(path).some((name) => /^[0-9a-f]{8}\.[0-9]$/.test(name)),
  );
  return {
    rootFiles: found(ROOT_FILES),
    javaStores: found([...JAVA_TRUST_STORES, ...own, ...installed]),
    rootFolder: hashed ?? null,
  };
}
