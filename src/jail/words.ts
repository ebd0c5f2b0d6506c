/**
 * Duty: what `run` outside and the program inside say to each other, over the channel that Node makes for its children.
 * Holds: all of it is said before the jailed command exists; the channel is closed at both ends by then.
 */

/** What is where in the mount namespace; every path is real and absolute. */
export interface MountPlan {
  /** Folder of the bundle: it becomes a file system of its own with nothing else in it. */
  readonly stage: string;
  /** What the bundle is made of. */
  readonly rootsFile: string;
  /** In the stage. */
  readonly bundleFile: string;
  readonly trustStore: string;
  /** In this order. */
  readonly steps: readonly MountStep[];
  /** Covered by the bundle. */
  readonly rootFiles: readonly string[];
  /** Covered by the trust store. */
  readonly javaStores: readonly string[];
  /** A folder of roots by hash, which is given one more. */
  readonly rootFolder: string | null;
  /** Null where nothing says which name server to ask: then it is 127.0.0.1 anyway. */
  readonly resolver: string | null;
  /** In hidden folders; programs expect them to be there. */
  readonly expectedFolders: readonly string[];
}

export type MountStep =
  /** Empty from now on, but for symbolic links that are kept. */
  | { readonly do: 'hideFolder'; readonly at: string; readonly links: readonly (readonly [string, string])[] }
  | { readonly do: 'hideFile'; readonly at: string }
  /** In a hidden folder or /dev, and seen nevertheless. */
  /** `flags`: those that the mount has to keep. */
  | { readonly do: 'readOnly'; readonly at: string; readonly flags: readonly string[] }
  | { readonly do: 'show'; readonly at: string; readonly isFolder: boolean };

/** Paths of the programs of the system. */
export interface Tools {
  readonly ip: string;
  readonly mount: string;
  readonly unshare: string;
  readonly setpriv: string;
  readonly setsid: string;
  readonly shell: string;
}

export interface Entry {
  readonly plan: MountPlan;
  /** The root to add to `rootFolder`: file name and PEM. */
  readonly root: { readonly name: string; readonly pem: string };
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** The command's terminal would take what it types as typed by the user, unless something forbids that call. */
  readonly isTerminalOpen: boolean;
}

export type ToInside =
  | {
      readonly say: 'listen';
      readonly tools: Tools;
      readonly ports: readonly number[];
      readonly hostPorts: readonly number[];
    }
  | { readonly say: 'enter'; readonly entry: Entry };

export type SocketRole = 'proxy' | 'hostPort' | 'names';

export type FromInside =
  /** With a handle. */
  | { readonly say: 'socket'; readonly role: SocketRole; readonly port: number }
  | { readonly say: 'listening' }
  /** The next thing is the command. */
  | { readonly say: 'ready'; readonly hasCallFilter: boolean; readonly hasOwnSession: boolean }
  | { readonly say: 'failed'; readonly words: string; readonly exitCode: number };
