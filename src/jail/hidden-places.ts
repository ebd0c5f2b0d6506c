/**
 * Duty: places of a user's machine that a jailed command must not see: credentials, and ways around the jail.
 * Holds: a list, nothing that looks; what is not there is no harm.
 * Source: the documents of each tool.
 * Not here: what of it exists, and how it is hidden (mount-plan.ts).
 */

/** Below the home directory. */
export const CREDENTIAL_PLACES: readonly string[] = [
  '.aws',
  '.azure',
  '.boto',
  '.s3cfg',
  '.oci',
  '.kube',
  '.docker',
  '.fly',
  '.wrangler',
  '.terraform.d',
  '.terraformrc',
  '.vault-token',
  '.bao-token',
  '.netrc',
  '.git-credentials',
  '.npmrc',
  '.yarnrc.yml',
  '.pypirc',
  '.pgpass',
  '.my.cnf',
  '.databrickscfg',
  '.kaggle',
  '.ssh',
  '.gnupg',
  '.age',
  '.password-store',
  '.pki',
  '.mozilla',
  '.thunderbird',
  '.cargo/credentials',
  '.cargo/credentials.toml',
  '.gem/credentials',
  '.m2/settings.xml',
  '.gradle/gradle.properties',
  '.claude/.credentials.json',
  '.codex/auth.json',
  '.gemini/oauth_creds.json',
  '.cache/git/credential',
  '.cache/huggingface/token',
  '.huggingface/token',
  '.config/gcloud',
  '.config/gh',
  '.config/hub',
  '.config/glab-cli',
  '.config/git/credentials',
  '.config/rclone',
  '.config/doctl',
  '.config/hcloud',
  '.config/op',
  '.config/1Password',
  '.config/sops',
  '.config/containers/auth.json',
  '.config/github-copilot',
  '.config/google-chrome',
  '.config/chromium',
  '.config/BraveSoftware',
  '.config/Slack',
  '.local/share/keyrings',
  '.local/share/kwalletd',
  '.local/share/containers/podman/machine',
];

/** Sockets of whatever runs outside: each of them takes orders from this user. */
export const WAYS_OUT: readonly string[] = ['/run', '/var/run'];

/** Where everybody's programs put what they need for a while: sockets of tmux, agents and displays, tickets, copies. */
export const SHARED_FOLDERS: readonly string[] = ['/tmp', '/var/tmp'];

/** Variables that lead to such a place, or to a proxy that cannot be reached from inside. */
export const DEAD_VARIABLES: readonly string[] = [
  'HTTPS_PROXY',
  'https_proxy',
  'HTTP_PROXY',
  'http_proxy',
  'ALL_PROXY',
  'all_proxy',
  'FTP_PROXY',
  'ftp_proxy',
  'NO_PROXY',
  'no_proxy',
  'NODE_USE_ENV_PROXY',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'DBUS_SESSION_BUS_ADDRESS',
  'SSH_AUTH_SOCK',
  'SSH_AGENT_PID',
  'GPG_AGENT_INFO',
  'KRB5CCNAME',
  'TMUX',
  'STY',
  'DOCKER_HOST',
  'VSCODE_IPC_HOOK_CLI',
];

/** Variables whose values are paths to hide. */
export const PATH_VARIABLES: readonly string[] = [
  'XDG_RUNTIME_DIR',
  'SSH_AUTH_SOCK',
  'XAUTHORITY',
  'KUBECONFIG',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'CLOUDSDK_CONFIG',
  'AZURE_CONFIG_DIR',
  'DOCKER_CONFIG',
  'GNUPGHOME',
  'NETRC',
];

/** Files of roots that programs open by name. */
export const ROOT_FILES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/ssl/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/tls/cert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/usr/lib/ssl/cert.pem',
  '/usr/local/etc/openssl/cert.pem',
  '/usr/local/share/certs/ca-root-nss.crt',
];

export const JAVA_TRUST_STORES: readonly string[] = [
  '/etc/ssl/certs/java/cacerts',
  '/etc/pki/java/cacerts',
  '/etc/pki/ca-trust/extracted/java/cacerts',
  '/etc/java/cacerts',
];

/** Folders with a file for each root, found by the hash of its name. */
export const ROOT_FOLDERS: readonly string[] = ['/etc/ssl/certs', '/etc/pki/tls/certs'];
