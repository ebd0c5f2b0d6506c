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
  ROOT_FILES,
  ROOT_FOLDERS,
  SHARED_FOLDERS,
  WAYS_OUT,
} from './hidden-places.ts';
import { otherPathsOf, type SeenMount } from './mount-table.ts';
import type { MountPlan, MountStep } from './words.ts';

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
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The proxy's alone: state, socket, and the files of keys that its policy names. */
  readonly proxyPaths: readonly string[];
  readonly bundleFile: string;
  readonly rootsFile: string;
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

/** Enough for every list here; a mount takes some milliseconds. */
const MAX_STEPS = 512;

const isWithin = (path: string, folder: string): boolean =>
  path === folder || folder === '/' || path.startsWith(`${folder}/`);
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** @throws JailPlanError */
export function planMounts(places: JailPlaces, look: Look): MountPlan {
  const asked = places.show.map((path) => existing(path, look, '--jail-show'));
  const forced = [...proxyPlaces(places, look), folderOf(places.bundleFile)];
  const wished = places.hide.map((path) => existing(path, look, '--jail-hide'));
  const usual = usualPlaces(places, look).filter((path) => !asked.some((each) => isWithin(path, each)));
  const all = realPlaces([...forced, ...wished, ...usual], places.mounts, look).filter(
    (path) => !isWithin(path, '/dev'),
  );
  const state = forced.flatMap((path) => look.realPath(path) ?? []);
  const shown = [...asked, ...workPlaces(places, look)].filter((path) => !state.some((each) => isWithin(path, each)));
  const hidden = seen(all, shown, look);
  const folders = hidden.filter((path) => look.kindOf(path) === 'folder');
  refuseHiddenWork(places, shown, [...folders, '/dev'], look);
  const stage = look.realPath(folderOf(places.bundleFile)) ?? folderOf(places.bundleFile);
  const inStage = (path: string): string => `${stage}/${path.slice(path.lastIndexOf('/') + 1)}`;
  const isCovered = (path: string): boolean =>
    [...folders, '/dev'].some((folder) => folder !== path && isWithin(path, folder));
  return {
    stage,
    rootsFile: places.rootsFile,
    bundleFile: inStage(places.bundleFile),
    trustStore: inStage(places.trustStore),
    steps: [
      ...stepsOf({ hidden, stage, shown: [...shown, stage].filter(isCovered) }, look),
      ...systemSteps(places.mounts),
    ],
    ...rootsOf(places, look),
    resolver: look.realPath('/etc/resolv.conf'),
    expectedFolders: EXPECTED.flatMap((name) => places.environment[name] ?? []).filter(isCovered),
  };
}

/** Programs expect them to be there; they are made, where they are hidden. */
const EXPECTED = ['XDG_RUNTIME_DIR', 'TMPDIR'];

/** In /tmp somebody may work, and live: of what is there, that alone is seen. */
function workPlaces({ home, workingDirectory }: JailPlaces, look: Look): string[] {
  return [home, workingDirectory].flatMap((path) => {
    const real = look.realPath(path) ?? path;
    const shared = SHARED_FOLDERS.map((each) => look.realPath(each)).find(
      (each) => each !== null && isWithin(real, each),
    );
    if (shared === undefined || shared === null || real === shared) return [];
    return [`${shared}/${real.slice(shared.length + 1).split('/')[0]}`];
  });
}

/** The user’s own processes outside can be frozen and ended by files of their control groups. */
const systemSteps = (mounts: readonly SeenMount[]): MountStep[] =>
  mounts
    .filter(({ at, flags }) => isWithin(at, '/sys') && flags.includes('rw'))
    .map(({ at, flags }) => ({ do: 'readOnly', at, flags: flags.filter((flag) => flag !== 'rw') }));

/** Parents before what is in them, so that something can be shown in what is hidden, and hidden in what is shown. */
function stepsOf(
  { hidden, shown, stage }: { hidden: readonly string[]; shown: readonly string[]; stage: string },
  look: Look,
): MountStep[] {
  const hides = hidden
    .filter((path) => path !== stage)
    .map(
      (at): MountStep =>
        look.kindOf(at) === 'folder' ? { do: 'hideFolder', at, links: linksIn(at, look) } : { do: 'hideFile', at },
    )
    .slice(0, MAX_STEPS);
  const shows = [...new Set(shown)].map(
    (at): MountStep => ({ do: 'show', at, isFolder: look.kindOf(at) === 'folder' }),
  );
  return [...hides, ...shows].sort((a, b) => (a.at < b.at ? -1 : 1));
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
function usualPlaces({ home, environment, sockets }: JailPlaces, look: Look): string[] {
  const named = PATH_VARIABLES.flatMap((name) => (environment[name] ?? '').split(':'));
  const paths = [
    ...CREDENTIAL_PLACES.map((place) => `${home}/${place}`),
    ...WAYS_OUT,
    ...SHARED_FOLDERS,
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

/** Without what lies in another of them, unless something between the two is shown. Sorted in, sorted out. */
const seen = (paths: readonly string[], shown: readonly string[], look: Look): string[] =>
  paths.filter((path) => {
    const around = paths.filter((other) => other !== path && isWithin(path, other) && look.kindOf(other) === 'folder');
    return around.every((folder) => shown.some((each) => isWithin(each, folder) && isWithin(path, each)));
  });

/** @throws JailPlanError */
function refuseHiddenWork(
  { workingDirectory, proxyPaths }: JailPlaces,
  shown: readonly string[],
  folders: readonly string[],
  look: Look,
): void {
  const real = look.realPath(workingDirectory) ?? workingDirectory;
  const folder = folders.find(
    (each) => isWithin(real, each) && !shown.some((path) => isWithin(path, each) && isWithin(real, path)),
  );
  if (folder === undefined) return;
  const isState = proxyPaths.some((each) => look.realPath(each) === folder);
  const next = isState
    ? 'it is the state of the proxy: go elsewhere'
    : `go elsewhere, or give --jail-show ${workingDirectory}`;
  throw new JailPlanError(`the working directory ${workingDirectory} is in ${folder}, which the jail hides; ${next}`);
}

/** NixOS has the system in them, others their lock folder. */
function linksIn(folder: string, look: Look): (readonly [name: string, target: string])[] {
  if (!WAYS_OUT.includes(folder)) return [];
  return look.namesIn(folder).flatMap((name) => {
    const target = look.linkTarget(`${folder}/${name}`);
    return target === null ? [] : [[name, target] as const];
  });
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
