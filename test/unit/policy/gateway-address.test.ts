import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import type { ProviderPreset } from '../../../src/injection/options.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { awsHostOf } from '../../../src/injection/sigv4/aws-hosts.ts';
import { gatewayAddress } from '../../../src/policy/gateway-address.ts';
import { gatewayVariables } from '../../../src/policy/gateway-variables.ts';
import type { ServiceAddress, ServiceOptions } from '../../../src/policy/options.ts';
import { revision } from './question.ts';

const host = (name: string, port = 443): ServiceAddress => ({ kind: 'host', host: name, port });
const below = (suffix: string): ServiceAddress => ({ kind: 'wildcard', suffix, port: 443 });
const presetOf = (name: string): ProviderPreset | null => PRESETS.get(name) ?? null;
const service = (name: string, provider: string, ...addresses: ServiceAddress[]): ServiceOptions => ({
  name,
  addresses,
  preset: presetOf(provider),
});

const services = [
  service('one', 'none', host('one.test')),
  service('team/one', 'none', host('one.team.test', 8443)),
  service('six', 'none', host('2001:db8::1')),
  service('with-wildcard', 'none', below('.one.test'), host('api.one.test')),
  service('two', 'none', host('a.test'), host('b.test')),
  service('any', 'none', below('.any.test')),
  service('clear', 'none', host('clear.test', 80)),
  service(
    'aws',
    'aws',
    host('sts.amazonaws.com'),
    host('sts.us-east-1.amazonaws.com'),
    host('s3.us-east-1.amazonaws.com'),
    host('bkt.s3.us-east-1.amazonaws.com'),
    host('123.s3-control.us-east-1.amazonaws.com'),
    host('bedrock-runtime.us-east-1.amazonaws.com'),
    host('bedrock-runtime.eu-west-1.amazonaws.com'),
    host('bedrock.eu-west-1.amazonaws.com'),
    host('iam.amazonaws.com'),
    host('dynamodb.us-east-1.amazonaws.com', 8443),
  ),
  service('all', 'aws', below('.amazonaws.com')),
  service('west', 'aws', below('.us-west-2.amazonaws.com'), below('.s3.us-west-2.amazonaws.com')),
  service('runtime', 'aws', host('bedrock-runtime.eu-west-1.amazonaws.com')),
];
const of = revision({ services });

function told(name: string, signed: string | null = null): string {
  const [service = '', region = ''] = signed?.split('/') ?? [];
  try {
    const place = signed === null ? null : { service, region: region === '' ? null : region };
    return gatewayAddress(of, name, place, awsHostOf).text;
  } catch (thrown) {
    return thrown instanceof EgressError ? `${thrown.code}: ${thrown.detail}` : String(thrown);
  }
}

describe('a Service with one host', () => {
  it.each([
    ['one', 'one.test:443'],
    ['team/one', 'one.team.test:8443'],
    ['six', '[2001:db8::1]:443'],
    ['with-wildcard', 'api.one.test:443'],
    ['runtime', 'bedrock-runtime.eu-west-1.amazonaws.com:443'],
  ])('%s is it', (name, expected) => {
    expect(told(name)).toBe(expected);
    // A signature changes nothing.
    expect(told(name, 'bedrock/eu-west-1')).toBe(expected);
  });

  it.each([
    ['two', /^gateway_address_unclear: the Service two has not one host for https; give each host/],
    ['any', /^gateway_address_unclear: /],
    ['clear', /^gateway_address_unclear: /],
    ['nobody', /^gateway_service_unknown: /],
    ['toString', /^gateway_service_unknown: /],
    ['aws', /^gateway_address_unclear: .*no AWS signature that says which/],
  ])('%s is none', (name, expected) => {
    expect(told(name)).toMatch(expected);
  });
});

describe('a host of AWS', () => {
  it.each([
    ['aws', 'sts/us-east-1', 'sts.us-east-1.amazonaws.com:443'],
    ['aws', 's3/us-east-1', 's3.us-east-1.amazonaws.com:443'],
    ['aws', 'bedrock/us-east-1', 'bedrock-runtime.us-east-1.amazonaws.com:443'],
    ['aws', 'iam/us-east-1', 'iam.amazonaws.com:443'],
    ['all', 's3/eu-central-1', 's3.eu-central-1.amazonaws.com:443'],
    ['all', 'kms/us-gov-west-1', 'kms.us-gov-west-1.amazonaws.com:443'],
    ['west', 's3/us-west-2', 's3.us-west-2.amazonaws.com:443'],
  ])('of %s by %s', (name, signed, expected) => {
    expect(told(name, signed)).toBe(expected);
  });

  it.each([
    [
      'aws',
      'bedrock/eu-west-1',
      /several hosts of aws .*: bedrock-runtime\.eu-west-1\.\S+, bedrock\.eu-west-1\.\S+; make a/,
    ],
    ['aws', 's3/eu-west-1', /no address of the Service aws is known to be s3 in eu-west-1/],
    ['aws', 'dynamodb/us-east-1', /no address/],
    ['aws', 's3/', /SigV4A names no region/],
    // The names of these hosts are not the names of their services, or there are several.
    ['all', 'bedrock/us-east-1', /no address/],
    ['all', 'execute-api/us-east-1', /no address/],
    ['all', 's3/cn-north-1', /no address/],
    ['all', 's3/us-iso-east-1', /no address/],
    ['all', 's3/evil', /no address/],
    ['west', 's3/us-east-1', /no address/],
  ])('is not told of %s by %s', (name, signed, expected) => {
    expect(told(name, signed)).toMatch(/^gateway_address_unclear: /);
    expect(told(name, signed)).toMatch(expected);
  });

  it('is one of the Service, whoever else has it', () => {
    const other = revision({
      services: [
        service('all', 'aws', below('.amazonaws.com')),
        service('mine', 'aws', host('kms.us-east-1.amazonaws.com')),
      ],
    });
    // The exact address is the other's, so policy would decide by that one.
    expect(() => gatewayAddress(other, 'all', { service: 'kms', region: 'us-east-1' }, awsHostOf)).toThrow(
      'no address',
    );
  });
});

describe('variables', () => {
  const KEYS = { apiKey: 'KEY', awsAccessKeyId: 'ID', awsSecretAccessKey: 'SECRET' };
  const variables = (...each: ServiceOptions[]) => gatewayVariables('http://g', each, KEYS);

  it('are those of each provider, with its key', () => {
    expect(
      variables(
        service('openai-api', 'openai', host('api.openai.com')),
        service('team/claude', 'anthropic', host('api.anthropic.com')),
        service('aws', 'aws', below('.amazonaws.com')),
        service('own', 'none', host('own.test')),
      ),
    ).toEqual({
      OPENAI_BASE_URL: 'http://g/openai-api/v1',
      OPENAI_API_KEY: 'KEY',
      ANTHROPIC_BASE_URL: 'http://g/team~claude',
      ANTHROPIC_API_KEY: 'KEY',
      AWS_ENDPOINT_URL: 'http://g/aws',
      AWS_ACCESS_KEY_ID: 'ID',
      AWS_SECRET_ACCESS_KEY: 'SECRET',
    });
  });

  it('are left out where two Services would set them, and where the gateway could not send anything on', () => {
    const two = [service('a', 'aws', host('sts.amazonaws.com')), service('b', 'aws', below('.amazonaws.com'))];
    expect(variables(...two)).toEqual({ AWS_ACCESS_KEY_ID: 'ID', AWS_SECRET_ACCESS_KEY: 'SECRET' });
    expect(variables(service('o', 'openai', host('api.openai.com'), host('eu.api.openai.com')))).toEqual({});
  });
});
