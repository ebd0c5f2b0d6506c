/**
 * Duty: CredentialBinding documents → `BindingOptions`, and what they ask to be delivered.
 * Holds: a credential goes to named hosts over https only, in a way that is known for each of its services.
 * Not here: two bindings for one request (ambiguity.ts); whose a file is (compile-delivery.ts).
 */
import type { InjectionOptions } from '../injection/options.ts';
import type { BindingOptions } from '../policy/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { CHOICES, type CompiledInjection, compileInjection } from './compile-injection.ts';
import { compilePaths, type PolicyContext } from './compile-policy.ts';
import { addressKey, type CompiledService } from './compile-service.ts';
import type { AskedDelivery, CompiledBinding } from './compiled-binding.ts';
import { namespaceOf, qualify } from './names.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

type Source = ShapedAs<'CredentialBinding'>;
type Propagation = NonNullable<Source['document']['spec']['propagation']>;

const INJECTION: Path = ['spec', 'propagation', 'injection'];
const SERVICES: Path = ['spec', 'services'];
const HTTP_PORT = 80;

/** Null where a reference does not resolve. */
export function compileBinding(source: Source, context: PolicyContext): CompiledBinding | null {
  const { document, raw } = source;
  const { spec, metadata } = document;
  const { names, problems } = context;
  const namespace = namespaceOf(metadata);
  const workload = names.resolveWorkload(raw, ['spec', 'workloadID'], namespace, spec.workloadID);
  const credentialSource = names.resolve(
    raw,
    ['spec', 'credentialSource'],
    'CredentialSource',
    namespace,
    spec.credentialSource,
  );
  const bound = (spec.services ?? []).flatMap((name, i) => {
    const at = [...SERVICES, i];
    const service = names.resolve(raw, at, 'Service', namespace, name);
    return service === null ? [] : { service, at };
  });
  checkTwice(source, problems);
  const name = qualify(namespace, metadata.name);
  const isInjected = isInjecting(spec.propagation);
  if (isInjected && spec.services === undefined) {
    problems.add(
      raw.at(['spec']),
      SERVICES,
      '"services" is missing',
      'name the Services at which the credential is injected',
    );
  }
  const injection = isInjected ? injectionOf(source, problems) : null;
  const match = compileMatch(source, problems);
  if (isInjected) checkServices(source, bound, injection, context);
  if (workload === null || credentialSource === null) return null;
  const options: BindingOptions = {
    name,
    workload,
    source: credentialSource,
    services: bound.map(({ service }) => service),
    injection: injection === 'faulty' ? null : injection,
    match,
    ...(spec.perInstance === true ? { perInstance: true } : {}),
  };
  return { source, injected: isInjected ? options : null, deliveries: compileDeliveries(source, options, problems) };
}

/** A binding names the services and regions of AWS, which the shape sees to. */
const injectionOf = ({ document, raw }: Source, problems: ProblemList): CompiledInjection<InjectionOptions> =>
  compileInjection(document.spec.propagation?.injection, {
    raw,
    at: INJECTION,
    problems,
  }) as CompiledInjection<InjectionOptions>;

/** No propagation, or none of its ways, is injection as the preset says. */
const isInjecting = (propagation: Propagation | undefined): boolean =>
  propagation === undefined ||
  propagation.injection !== undefined ||
  Object.values(propagation).every((way) => way === undefined);

function checkTwice({ document, raw }: Source, problems: ProblemList): void {
  const { services = [] } = document.spec;
  for (const [i, name] of services.entries()) {
    if (services.indexOf(name) < i)
      problems.add(
        raw.at([...SERVICES, i]),
        [...SERVICES, i],
        `the Service ${quoted(name)} is there twice`,
        'keep one of the two',
      );
  }
}

function compileMatch({ document, raw }: Source, problems: ProblemList): BindingOptions['match'] {
  const { match } = document.spec;
  if (match === undefined) return null;
  const path = ['spec', 'match'];
  if (match.methods === undefined && match.paths === undefined)
    problems.add(raw.at(path), path, 'the match is empty', 'give methods or paths, or remove it');
  return { methods: match.methods ?? null, paths: compilePaths(raw, [...path, 'paths'], match.paths, problems) };
}

function checkServices(
  source: Source,
  bound: readonly { readonly service: string; readonly at: Path }[],
  injection: CompiledInjection<InjectionOptions>,
  { services, problems }: PolicyContext,
): void {
  const { raw } = source;
  for (const { service: name, at } of bound) {
    const service = services.get(name);
    if (service === undefined) continue;
    for (const address of service.options.addresses) {
      const fault = addressFault(service, address);
      if (fault !== null) problems.add(raw.at(at), at, `the Service ${quoted(name)} has ${fault.fault}`, fault.hint);
    }
    const fault = injection === 'faulty' ? null : wayFault(service, injection);
    if (fault !== null) problems.add(raw.at(injectionPlace(source)), INJECTION, fault.fault, fault.hint);
  }
}

/** Where the way of injection is written, or would be. */
function injectionPlace({ document }: Source): Path {
  const { propagation } = document.spec;
  if (propagation === undefined) return ['spec', 'credentialSource'];
  return propagation.injection === undefined ? ['spec', 'propagation'] : INJECTION;
}

interface Fault {
  readonly fault: string;
  readonly hint: string;
}

function addressFault(
  service: CompiledService,
  address: CompiledService['options']['addresses'][number],
): Fault | null {
  const shown = addressKey(address);
  if (address.port === HTTP_PORT) {
    return {
      fault: `the plain-http address ${shown}`,
      hint: 'a credential goes over https only; name the https port, or bind another Service',
    };
  }
  if (address.kind === 'cidr') return { fault: `the network ${shown}`, hint: 'a credential goes to named hosts only' };
  const index = service.indexes[service.options.addresses.indexOf(address)] ?? 0;
  if (address.kind !== 'wildcard' || service.source.document.spec.addresses[index]?.ownedZone === true) return null;
  return {
    fault: `the wildcard ${shown}`,
    hint: 'list the hosts, or write ownedZone: true there if every name below it is yours',
  };
}

/** A secret in the target or the body is written in HTTP/1.1 alone. */
const HTTP1_ONLY: readonly string[] = ['query', 'path', 'jsonField', 'formField', 'placeholder', 'subprotocol'];

function wayFault({ options }: CompiledService, injection: InjectionOptions | null): Fault | null {
  const { name, preset, http2 } = options;
  const way = (injection ?? preset?.injection)?.kind;
  if (http2 === 'require' && way !== undefined && HTTP1_ONLY.includes(way)) {
    const hint = 'write http2: prefer for the Service, or inject in another way';
    return { fault: `the Service ${quoted(name)} requires HTTP/2, and ${way} needs HTTP/1.1`, hint };
  }
  if (injection === null) {
    if (preset === null)
      return { fault: `the Service ${quoted(name)} has no provider that says how to inject`, hint: CHOICES };
    if (preset.injection.kind === 'sigv4' && !('services' in preset.injection)) {
      return {
        fault: 'AWS services and regions must be listed',
        hint: 'write injection: { sigv4: { services: [s3], regions: [us-east-1] } }',
      };
    }
    return null;
  }
  if (injection.kind !== 'sigv4' || preset?.injection.kind === 'sigv4') return null;
  return {
    fault: `the Service ${quoted(name)} is not one of AWS`,
    hint: 'give it "provider: aws", or inject in another way',
  };
}

function compileDeliveries({ document, raw }: Source, options: BindingOptions, problems: ProblemList): AskedDelivery[] {
  const { file, sysfs, socket } = document.spec.propagation ?? {};
  const { name: binding, workload, source, services } = options;
  const at = (key: string): Path => ['spec', 'propagation', key];
  const asked = (way: AskedDelivery['way'], key: string, given: typeof file): AskedDelivery => {
    const { path = null, format = 'json' } = given ?? {};
    return { binding, workload, source, services, way, path, format, at: at(key) };
  };
  if (file !== undefined && sysfs !== undefined)
    problems.add(raw.atKey(at('sysfs')), at('sysfs'), 'sysfs means file, and file is there too', 'keep file');
  return [
    ...(file === undefined && sysfs === undefined ? [] : [asked('file', file === undefined ? 'sysfs' : 'file', file)]),
    ...(socket === undefined ? [] : [asked('socket', 'socket', socket)]),
  ];
}
