/**
 * Duty: makes the HTTP agents that a Node program creates for itself use the proxy of its environment, as NODE_USE_ENV_PROXY does
 *   for the global ones. The AWS SDKs make their own, and some of them would speak HTTP/2, whose sessions know no proxy.
 * Holds: an agent that was given options of its own for this, or is of a class of its own, is left alone.
 * Source: nodejs.org/api/http.html, `new Agent({ proxyEnv })` (22.21, 24.5). Loaded into the agent's process by NODE_OPTIONS, so plain
 *   CommonJS that any Node takes; the one file here that is not part of the proxy.
 */
'use strict';
const http = require('node:http');
const https = require('node:https');
const Module = require('node:module');

for (const module of [http, https]) {
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
