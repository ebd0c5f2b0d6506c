/** What stands in deploy/: its documents, the command lines in them, and the policies. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const DEPLOY = fileURLToPath(new URL('../../../deploy', import.meta.url));

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    // Of whoever tries compose.yaml.
    if (entry.isDirectory()) return entry.name === 'secrets' ? [] : listFiles(path);
    return [relative(DEPLOY, path)];
  });
}

export const FILES: readonly string[] = listFiles(DEPLOY);
export const pathOf = (file: string): string => join(DEPLOY, file);
export const textOf = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');
export const endingIn = (ending: string): readonly string[] => FILES.filter((file) => file.endsWith(ending));

/** @throws where it is not YAML */
export function documentsIn(file: string): unknown[] {
  return parseAllDocuments(textOf(file), { version: '1.2', strict: true, uniqueKeys: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw problem;
    return document.toJS();
  });
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: string[];
  readonly restartPolicy?: string;
  readonly env?: { readonly name: string; readonly value: string }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsNonRoot?: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: string[]; readonly add?: string[] };
  };
  readonly resources: { readonly requests: object; readonly limits: { readonly memory: string } };
  readonly volumeMounts?: { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
}
interface Probe {
  readonly exec: { readonly command: string[] };
}
export interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsNonRoot: boolean; readonly seccompProfile: { readonly type: string } };
  readonly hostAliases?: { readonly hostnames: string[] }[];
  readonly initContainers: Container[];
  readonly containers: Container[];
  readonly volumes: { readonly name: string }[];
}

/** Of each Deployment. */
export const PODS: readonly (readonly [file: string, pod: PodSpec])[] = endingIn('.yaml')
  .filter((file) => file.startsWith('kubernetes/'))
  .flatMap((file) =>
    (documentsIn(file) as { kind: string; spec: { template: { spec: PodSpec } } }[])
      .filter(({ kind }) => kind === 'Deployment')
      .map(({ spec }) => [file, spec.template.spec] as const),
  );
export const containersOf = (pod: PodSpec): readonly Container[] => [...pod.initContainers, ...pod.containers];

export function containerOf(pod: PodSpec, name: string): Container {
  const found = containersOf(pod).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no container ${name}`);
  return found;
}

export interface ComposeService {
  readonly image: string;
  readonly user?: string;
  readonly command?: string[];
  readonly read_only?: boolean;
  readonly cap_drop?: string[];
  readonly security_opt?: string[];
  readonly stop_grace_period?: string;
  readonly networks?: string[] | Readonly<Record<string, { readonly ipv4_address?: string }>>;
  readonly volumes?: string[];
  readonly secrets?: string[];
}
export const COMPOSE = documentsIn('compose.yaml')[0] as {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: object;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
};

export function serviceOf(name: string): ComposeService {
  const found = COMPOSE.services[name];
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
}

/** Value of a directive of a Dockerfile in its JSON form, the last one. */
export function directive(name: string, stage: string): string[] {
  const text = textOf('Dockerfile').split(new RegExp(`^FROM \\S+ AS ${stage}$`, 'm'))[1] ?? '';
  const own = text.split(/^FROM /m)[0] ?? '';
  const found = own.match(new RegExp(`^${name} (\\[.*\\])$`, 'm'))?.[1];
  if (found === undefined) throw new Error(`the stage ${stage} has no ${name}`);
  return JSON.parse(found) as string[];
}

/** Lines of the unit with that key, without its prefix. */
export const unitLines = (file: string, key: string): string[] =>
  textOf(file)
    .split('\n')
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));

/** Every `countersign …` that somebody would run, as its words behind the program's name. */
export function commandLines(): (readonly [file: string, words: string])[] {
  const lists: (readonly [string, readonly string[]])[] = [
    ['Dockerfile', [...directive('ENTRYPOINT', 'proxy'), ...directive('CMD', 'proxy')]],
    ['Dockerfile', [...directive('ENTRYPOINT', 'init'), ...directive('CMD', 'init')]],
    ['Dockerfile', directive('HEALTHCHECK .* CMD', 'proxy')],
    ...PODS.flatMap(([file, pod]) =>
      containersOf(pod).flatMap(({ command, startupProbe, readinessProbe, livenessProbe }) =>
        [command, ...[startupProbe, readinessProbe, livenessProbe].map((probe) => probe?.exec.command)].flatMap(
          (words) => (words === undefined ? [] : [[file, words] as const]),
        ),
      ),
    ),
  ];
  const fromLists = lists.map(([file, words]) => {
    if (words[0] !== 'countersign') throw new Error(`${file} runs ${words.join(' ')}`);
    return [file, words.slice(1).join(' ')] as const;
  });
  const fromTexts = FILES.filter((file) => /\.(?:md|yaml|service|sh)$/.test(file)).flatMap((file) =>
    linesOfCode(file).flatMap((line) =>
      [
        ...line.matchAll(/(?:^|\/usr\/local\/bin\/|exec countersign |- |: )countersign ((?:[a-z-]|--)[^|<>"`)#]*)/g),
      ].map(([, words = '']) => [file, words.trim()] as const),
    ),
  );
  return [...fromLists, ...fromTexts];
}

/** Of a page the boxes and what stands between backticks; of other files each line. */
function linesOfCode(file: string): string[] {
  const text = textOf(file);
  if (!file.endsWith('.md')) return text.split('\n').filter((line) => !line.trimStart().startsWith('#'));
  const boxes = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([, language = '', box = '']) =>
    ['', 'sh', 'console'].includes(language) ? [box] : [],
  );
  const inline = [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, words = '']) => words);
  return [...boxes.flatMap((box) => box.replaceAll('\\\n', ' ').split('\n')), ...inline].map((line) =>
    line.replace(/^\$ /, '').replaceAll(/--config …|…/g, ''),
  );
}
