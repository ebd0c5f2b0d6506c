#!/bin/sh
# Puts versitygw, an S3 server that others wrote, and boto3 into a folder that is thrown away, and runs the tests that need them.
# Usage: test/clients/s3-server.sh, from the root of the repository. Needs Go; boto3 is left out where there is no python3.
set -eu
if ! command -v go >/dev/null; then
  echo 'skipped: no Go, so versitygw cannot be built' >&2
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
GOBIN="$folder" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
if python3 -m venv "$folder/python" && "$folder/python/bin/pip" install --quiet boto3; then
  export BOTO3_PYTHON="$folder/python/bin/python"
else
  echo 'skipped: boto3' >&2
fi
VERSITYGW_BIN="$folder/versitygw" npx vitest run --config test/vitest.config.ts test/clients/s3-server.test.ts
