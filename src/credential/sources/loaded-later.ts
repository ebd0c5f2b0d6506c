/**
 * Duty: sources whose code is loaded apart from the start of the process.
 * Holds: where one cannot be made, its first use says so.
 */
import type { CredentialSource } from '../source.ts';

type Load = () => Promise<CredentialSource>;

/** Loaded at its first use. */
export function loadedLater(name: string, load: Load): CredentialSource {
  let loaded: Promise<CredentialSource> | null = null;
  return {
    name,
    fetch: async (workload, signal) => {
      loaded ??= load();
      return (await loaded).fetch(workload, signal);
    },
    close: () => void loaded?.then((source) => source.close?.(), ignore),
  };
}

/** Loaded and begun at once, and waited for by nobody but its first use. */
export function loadedNow(name: string, load: Load): CredentialSource {
  const loaded = load();
  loaded.catch(ignore);
  return {
    name,
    fetch: async (workload, signal) => (await loaded).fetch(workload, signal),
    close: () => void loaded.then((source) => source.close?.(), ignore),
  };
}

function ignore(): void {}
