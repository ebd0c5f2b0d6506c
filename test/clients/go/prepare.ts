/**
 * Duty: one program of Go with its SDKs, built from the versions of go.mod and the sums of go.sum.
 * Holds: modules and objects are kept beside the folder; nothing is resolved anew.
 */
import { fileURLToPath } from 'node:url';
import { install, type Preparation, sharedByGo } from '../preparation.ts';

const SOURCE = fileURLToPath(new URL('.', import.meta.url));

export const PREPARATION: Preparation = {
  ecosystem: 'go',
  tools: ['go'],
  prepare: (folder) =>
    // Without optimizing, which is a third of the time.
    install(['go', 'build', '-C', SOURCE, '-gcflags=all=-N -l', '-o', `${folder}/agent`, '.'], {
      folder,
      env: {
        // -modcacherw: else the folder cannot be removed by who is not root.
        GOFLAGS: '-mod=readonly -modcacherw -trimpath -buildvcs=false -ldflags=-w',
        GOWORK: 'off',
        GOTOOLCHAIN: 'local',
        CGO_ENABLED: '0',
        ...sharedByGo(folder),
      },
    }),
  suites: ['test/clients/go.test.ts'],
};
