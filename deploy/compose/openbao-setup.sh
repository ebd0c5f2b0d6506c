#!/bin/sh
# What deploy/vault/README.md does in its parts 2, 5 and 6, for the one key of compose.yaml. May be run again.
# Reads the two files of /run/secrets, or of the folder that SECRETS names.
set -eu
secrets=${SECRETS:-/run/secrets}
issuer=${ISSUER:-http://countersign:10081}
BAO_TOKEN=$(cat "$secrets/openbao-root-token")
export BAO_TOKEN

bao auth list | grep -q '^jwt/' || bao auth enable jwt
bao write auth/jwt/config oidc_discovery_url="$issuer" bound_issuer="$issuer"

# By standard input, so that the key is in no list of processes.
tr -d '\n' <"$secrets/openai-api-key" | bao kv put -mount=secret ai-agent token=-
bao policy write kv - <<'END'
path "secret/data/ai-agent" { capabilities = ["read"] }
END
bao write auth/jwt/role/kv role_type=jwt user_claim=sub bound_audiences=vault \
  bound_subject=spiffe://example.org/ai-agent token_policies=kv token_ttl=1h token_num_uses=2

bao policy write janitor - <<'END'
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "sys/leases/revoke"          { capabilities = ["update"] }
END
bao write auth/jwt/role/janitor role_type=jwt user_claim=sub bound_audiences=vault \
  bound_subject=spiffe://example.org/countersign/janitor token_policies=janitor token_ttl=1m
