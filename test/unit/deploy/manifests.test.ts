/** The manifests and compose.yaml, as far as reading them shows: well-formed, without a privilege too many, and whole. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  COMPOSE,
  containersOf,
  documentsIn,
  endingIn,
  FILES,
  PODS,
  pathOf,
  serviceOf,
  textOf,
} from './deploy-files.ts';

it.each(endingIn('.yaml'))('%s is YAML, each key once', (file) => {
  expect(documentsIn(file).length).toBeGreaterThan(0);
});

it('there are two pods, and one of them adds one capability in one container', () => {
  expect(PODS.map(([file]) => file)).toEqual(['kubernetes/https-proxy.yaml', 'kubernetes/redirect.yaml']);
  const added = PODS.flatMap(([file, pod]) =>
    containersOf(pod).flatMap(({ name, securityContext: { capabilities } }) =>
      capabilities.add === undefined ? [] : [[file, name, capabilities.add]],
    ),
  );
  expect(added).toEqual([['kubernetes/redirect.yaml', 'redirect', ['NET_ADMIN']]]);
});

describe.each(PODS)('%s', (_file, pod) => {
  it.each(containersOf(pod).map((container) => [container.name, container] as const))('%s', (name, container) => {
    const { securityContext: own, resources, volumeMounts = [] } = container;
    expect(own).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
    expect(own.capabilities.drop).toEqual(['ALL']);
    expect(own.runAsUser === 0 || own.runAsNonRoot === false).toBe(name === 'redirect');
    expect(resources.limits.memory).toMatch(/^\d+Mi$/);
    expect(container.image).toMatch(/^registry\.example\.org\/[a-z-]+:[0-9.]+$/);
    for (const { name: volume } of volumeMounts) expect(pod.volumes.map((each) => each.name)).toContain(volume);
  });

  it('as a whole is not root, has the filter of the runtime and no token for the API server', () => {
    expect(pod.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.automountServiceAccountToken).toBe(false);
  });

  it('starts rules, proxy and agent in this order, each when the one before is there', () => {
    const { initContainers, containers } = pod;
    expect(initContainers.map(({ name }) => name).at(-1)).toBe('countersign');
    expect(initContainers.at(-1)).toMatchObject({ restartPolicy: 'Always', startupProbe: expect.anything() });
    expect(containers.map(({ name }) => name)).toEqual(['agent']);
  });
});

describe('compose.yaml', () => {
  it.each(['countersign', 'agent-instance', 'agent'])('%s is read-only, without a capability', (name) => {
    const { read_only, cap_drop, security_opt } = serviceOf(name);
    expect({ read_only, cap_drop, security_opt }).toEqual({
      ...{ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] },
    });
  });

  it('names only what is there', () => {
    const services = Object.values(COMPOSE.services);
    const volumes = services.flatMap(({ volumes: own = [] }) => own.map((each) => each.split(':')[0] ?? ''));
    for (const volume of volumes) {
      if (volume.startsWith('./')) expect(existsSync(pathOf(volume))).toBe(true);
      else expect(Object.keys(COMPOSE.volumes)).toContain(volume);
    }
    const networks = services.flatMap(({ networks: own = [] }) => (Array.isArray(own) ? own : Object.keys(own)));
    for (const network of networks) expect(Object.keys(COMPOSE.networks)).toContain(network);
    const secrets = services.flatMap(({ secrets: own = [] }) => own);
    expect(new Set(secrets)).toEqual(new Set(Object.keys(COMPOSE.secrets)));
  });

  it('keeps its secrets out of git, out of the image and out of the package', () => {
    const ignored = (file: string): string => textOf(`../${file}`);
    expect(ignored('.gitignore').split('\n')).toContain('deploy/compose/secrets/');
    expect(ignored('.dockerignore').split('\n').filter(Boolean).at(-1)).toBe('deploy/compose/secrets');
    const { files } = JSON.parse(textOf('../package.json')) as { files: string[] };
    expect(files.slice(files.indexOf('deploy'))).toContain('!deploy/compose/secrets');
    for (const { file } of Object.values(COMPOSE.secrets)) expect(file).toMatch(/^\.\/compose\/secrets\//);
  });
});

it('every image is pinned by a tag, and none by "latest"', () => {
  const images = [
    ...Object.values(COMPOSE.services).map(({ image }) => image),
    ...PODS.flatMap(([, pod]) => containersOf(pod).map(({ image }) => image)),
    `node:${/^ARG NODE_TAG=(\S+)$/m.exec(textOf('Dockerfile'))?.[1]}`,
  ];
  for (const image of images) expect(image).toMatch(/:\d[\w.-]*$/);
});

it('the image has the Node that the tests run on', () => {
  const { devDependencies } = JSON.parse(textOf('../package.json')) as { devDependencies: { node: string } };
  expect(textOf('Dockerfile')).toContain(`ARG NODE_TAG=${devDependencies.node}-`);
});

it('pages link to what is there', () => {
  const pages = FILES.filter((file) => file.endsWith('.md'));
  expect(pages.length).toBeGreaterThan(3);
  for (const page of pages)
    for (const [, target = ''] of textOf(page).matchAll(/\]\((?!https?:)([^)#]+)/g))
      expect(existsSync(join(dirname(pathOf(page)), target)), `${page}: ${target}`).toBe(true);
});
