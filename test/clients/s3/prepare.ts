/**
 * Duty: versitygw, an S3 server that others wrote, built from the versions of go.mod and the sums of go.sum. boto3 is Python's.
 * Holds: modules and objects are kept beside the folder; nothing is resolved anew.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, type Preparation, sharedByGo } from '../preparation.ts';

const PROGRAM = 'github.com/versity/versitygw/cmd/versitygw';
const LOCK = fileURLToPath(new URL('.', import.meta.url));

export const PREPARATION: Preparation = {
  ecosystem: 's3',
  tools: ['go'],
  suites: ['test/clients/s3-server.test.ts'],
  prepare: (folder) =>
    // Without optimizing.
    install(['go', 'build', '-C', LOCK, '-gcflags=all=-N -l', '-o', join(folder, 'versitygw'), PROGRAM], {
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
};
