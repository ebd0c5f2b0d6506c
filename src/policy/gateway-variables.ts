/**
 * Duty: the variables by which SDKs find Services behind the gateway.
 * In → Out: URL of the gateway, Services, keys → variables.
 * Holds: a variable that two Services would set is left out, for one of them would be the wrong one.
 * Not here: which variables there are (presets, documents of kind Preset).
 */
import { hasGatewayAddress } from './gateway-address.ts';
import type { ServiceOptions } from './options.ts';

export interface GatewayKeys {
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
}

/** The name of a Service as a segment of a path: a namespace ends in `~` there. */
export const segmentOf = (service: string): string => service.replace('/', '~');

export function gatewayVariables(
  url: string,
  services: readonly ServiceOptions[],
  keys: GatewayKeys,
): Record<string, string> {
  const variables: Record<string, string> = {};
  const claims = new Map<string, number>();
  const callable = services.filter(hasGatewayAddress);
  for (const { preset } of callable)
    for (const { variable } of preset?.baseUrls ?? []) claims.set(variable, (claims.get(variable) ?? 0) + 1);
  for (const { name, preset } of callable) {
    for (const { variable, path, key } of preset?.baseUrls ?? []) {
      if (claims.get(variable) === 1) variables[variable] = `${url}/${segmentOf(name)}${path}`;
      if (key !== undefined) variables[key] = keys.apiKey;
      else if (preset?.injection.kind === 'sigv4') {
        variables['AWS_ACCESS_KEY_ID'] = keys.awsAccessKeyId;
        variables['AWS_SECRET_ACCESS_KEY'] = keys.awsSecretAccessKey;
      }
    }
  }
  return variables;
}
