/**
 * Duty: makes the HTTP agents that a Node program creates for itself use the proxy of its environment, as NODE_USE_ENV_PROXY does
 *   for the global ones. The AWS SDKs make their own, and some of them would speak HTTP/2, whose sessions know no proxy. `ws` connects
 *   past all agents where it was given none.
 * Holds: an agent that was given options of its own for this, or is of a class of its own, is left alone, as is a connection that
 *   the program makes itself. A Node that cannot do it says so.
 * Source: nodejs.org/api/http.html, `new Agent({ proxyEnv })` (22.21, 24.5). Loaded into the agent's process by NODE_OPTIONS, so plain
 *   CommonJS that any Node takes; the one file here that is not part of the proxy.
 */
'use strict';
const http = require('node:http');
const https = require('node:https');
const Module = require('node:module');

if (!process.allowedNodeEnvironmentFlags.has('--use-env-proxy')) {
  const instead = 'use Node 22.21, 24.5 or newer, or give each client a proxy of its own';
  process.emitWarning(`Node ${process.versions.node} goes past HTTPS_PROXY: ${instead}`, { code: 'COUNTERSIGN' });
}

/** @param {unknown} options @returns {unknown} */
function throughAgent(options) {
  if (typeof options !== 'object' || options === null) return options;
  const { createConnection, ...rest } = /** @type {http.RequestOptions} */ (options);
  const isWs = createConnection !== undefined && /^(?:net|tls)Connect$/.test(createConnection.name);
  const { Upgrade } = /** @type {Record<string, unknown>} */ (rest.headers ?? {});
  return isWs && rest.agent === undefined && Upgrade === 'websocket' ? rest : options;
}

for (const module of [http, https]) {
  const request = /** @type {(...words: unknown[]) => http.ClientRequest} */ (module.request);
  module.request = (/** @type {unknown} */ options, /** @type {unknown[]} */ ...rest) =>
    request.call(module, throughAgent(options), ...rest);
  const Agent = module.Agent;
  /** @type {typeof Agent} */
  const proxied = new Proxy(Agent, {
    construct: (target, [options], newTarget) =>
      newTarget === proxied
        ? Reflect.construct(target, [{ proxyEnv: process.env, ...options }], target)
        : Reflect.construct(target, [options], newTarget),
    apply: (target, _self, [options]) => new target({ proxyEnv: process.env, ...options }),
  });
  module.Agent = proxied;
}
Module.syncBuiltinESMExports();

/** @type {typeof Module & { _load(request: string, ...rest: unknown[]): Record<string, unknown> }} */
const loader = /** @type {never} */ (Module);
const load = loader._load;
loader._load = function loadOverHttp1(request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  // The default of client-bedrock-runtime and a few others; both handlers take the same options.
  if (request === '@smithy/node-http-handler') loaded['NodeHttp2Handler'] = loaded['NodeHttpHandler'];
  return loaded;
};
