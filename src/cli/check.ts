/** Duty: `countersign check`: validates a policy and prints what it amounts to. */
import type { Configuration } from '../app.ts';
import { ConfigurationError } from '../config/configuration-error.ts';
import { type Command, EXIT, type Terminal } from './command.ts';
import { CONFIG_OPTIONS, defaultStateDirectory, requiredConfigPaths } from './settings.ts';

export const check: Command = {
  name: 'check',
  usage: '--config FILE|FOLDER [options]',
  summary: 'Validate a policy, resolve its references, print effective bindings and warnings',
  options: [
    ...CONFIG_OPTIONS,
    { name: 'strict', help: 'Exit with 1 where there are warnings' },
    { name: 'json', help: 'Print a JSON object' },
  ],
  notes: ['Exit codes: 0 valid, 1 warnings with --strict, 78 invalid. Every problem is printed as file:line:col.'],
  run: async (terminal, given) => {
    const place = {
      configPaths: requiredConfigPaths(terminal, given),
      stateDirectory: defaultStateDirectory(terminal),
    };
    const { loadSettings } = await import('../app.ts');
    const configuration = await loadSettings(place).then(
      (settings) => settings.configuration,
      (thrown: unknown) => {
        if (given.flag('json') && thrown instanceof ConfigurationError) return thrown;
        throw thrown;
      },
    );
    if (configuration instanceof ConfigurationError) {
      terminal.write(`${JSON.stringify({ valid: false, problems: configuration.problems }, null, 2)}\n`);
      return EXIT.configuration;
    }
    if (given.flag('json')) terminal.write(`${JSON.stringify(summary(configuration), null, 2)}\n`);
    else print(terminal, configuration);
    return given.flag('strict') && configuration.warnings.length > 0 ? EXIT.negative : EXIT.ok;
  },
};

interface BindingSummary {
  readonly binding: string;
  readonly workload: string;
  readonly service: string;
  readonly hosts: readonly string[];
  readonly source: string;
  readonly injection: string;
  readonly governedBy: string;
}

function summary(configuration: Configuration): object {
  const { policy, warnings, mintingRules } = configuration;
  return {
    valid: true,
    revision: policy.id,
    bindings: effectiveBindings(configuration),
    deliveries: configuration.deliveries.map(({ binding, workload, source, way, path, format, owner }) => ({
      ...{ binding, workload, source, way, path, format, owner },
    })),
    policies: policy.policies.map(({ name, workloads, rules }) => ({ name, workloads, rules: rules.length })),
    mintingRules,
    warnings,
  };
}

function effectiveBindings({ policy }: Configuration): BindingSummary[] {
  return policy.bindings.flatMap((binding) =>
    binding.services.flatMap((name) => {
      const service = policy.services.find((candidate) => candidate.name === name);
      if (service === undefined) return [];
      const way = binding.injection ?? service.preset?.injection;
      const governing = policy.policies
        .filter(({ workloads }) => workloads.includes(binding.workload))
        .map((each) => each.name);
      return {
        binding: binding.name,
        workload: binding.workload,
        service: name,
        hosts: service.addresses.map((address) =>
          'host' in address
            ? `${address.host}:${address.port}`
            : 'suffix' in address
              ? `*${address.suffix}:${address.port}`
              : 'CIDR',
        ),
        source: binding.source,
        injection: way?.kind ?? 'none',
        governedBy:
          governing.length > 0 ? governing.join(', ') : `safe calls of ${service.preset?.name ?? 'no preset'}`,
      };
    }),
  );
}

function print(terminal: Terminal, configuration: Configuration): void {
  const bindings = effectiveBindings(configuration);
  const bold = (text: string): string =>
    terminal.isTerminal && !terminal.environment['NO_COLOR'] ? `\u001b[1m${text}\u001b[0m` : text;
  terminal.write(
    `valid: revision ${configuration.policy.id}, ${bindings.length} effective bindings, ${configuration.policy.policies.length} policies\n`,
  );
  for (const row of bindings) {
    terminal.write(
      `\n${bold(row.binding)}: ${row.workload} → ${row.service}\n  hosts      ${row.hosts.join(', ')}\n  source     ${row.source}\n  injection  ${row.injection}\n  allowed    by ${row.governedBy}\n`,
    );
  }
  for (const { binding, workload, source, way, path, format, owner } of configuration.deliveries) {
    const place = path ?? `a ${way} that the proxy chooses; status shows it`;
    const reader = owner === null ? 'its user' : 'uid' in owner ? `uid ${owner.uid}` : `user ${owner.user}`;
    terminal.write(
      `\n${bold(binding)}: ${workload} → ${place}\n  source     ${source}\n  format     ${format}\n  readable   by ${reader} alone\n`,
    );
  }
  const { deliveries, policy } = configuration;
  if (bindings.length === 0 && deliveries.length === 0 && policy.policies.length === 0)
    terminal.write('nothing is allowed: there is neither a CredentialBinding nor an EgressPolicy\n');
  if (configuration.mintingRules.length > 0)
    terminal.write(`\nrules that let a workload mint credentials: ${configuration.mintingRules.join(', ')}\n`);
  for (const warning of configuration.warnings)
    terminal.complain(`warning: ${warning.file}:${warning.line}:${warning.column}: ${warning.message}\n`);
}
