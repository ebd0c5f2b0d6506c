import { describe, expect, it } from 'vitest';
import { cgroupPath, containerId } from '../../../src/workload/container-id.ts';

const ID = '0123456789abcdef'.repeat(4);
const OTHER = 'fedcba9876543210'.repeat(4);

describe('the container of a control group', () => {
  it.each<[string, string]>([
    ['docker, cgroupfs, version 1', `4:memory:/docker/${ID}\n1:name=systemd:/docker/${ID}\n`],
    ['docker, systemd', `0::/system.slice/docker-${ID}.scope\n`],
    ['docker, cgroupfs, version 2', `0::/docker/${ID}\n`],
    [
      'containerd of Kubernetes, systemd',
      `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab_c.slice/cri-containerd-${ID}.scope`,
    ],
    ['containerd of Kubernetes, cgroupfs', `0::/kubepods/burstable/podab-c/${ID}`],
    [
      'containerd, as older ones wrote it',
      `0::/system.slice/containerd.service/kubepods-burstable-podab_c.slice:cri-containerd:${ID}`,
    ],
    ['cri-o', `0::/kubepods.slice/kubepods-podab_c.slice/crio-${ID}.scope`],
    ['cri-o, in the container', `0::/kubepods.slice/kubepods-podab_c.slice/crio-${ID}.scope/container`],
    ['podman', `0::/machine.slice/libpod-${ID}.scope/container`],
    ['nerdctl', `0::/system.slice/nerdctl-${ID}.scope`],
    ['seen from another container', `0::/../${ID}`],
    ['a container in it, that took any name', `0::/docker/${ID}/docker/${OTHER}`],
  ])('%s', (_name, text) => {
    expect(containerId(text)).toBe(ID);
  });

  it.each<[string, string]>([
    ['no container', '0::/system.slice/agent.service\n'],
    ['the root', '0::/\n'],
    ['nothing', ''],
    ['two that differ', `4:memory:/docker/${ID}\n3:cpu:/docker/${OTHER}\n`],
    ['a monitor of podman', `0::/machine.slice/libpod-conmon-${ID}.scope`],
    ['a user, who may name groups as he likes', `0::/user.slice/user-1001.slice/user@1001.service/docker-${ID}.scope`],
    ['too short', `0::/docker/${ID.slice(1)}`],
    ['a longer name', `0::/docker/x${ID}`],
  ])('is none for %s', (_name, text) => {
    expect(containerId(text)).toBeNull();
  });
});

describe('the path of a control group', () => {
  it.each<[string, string | null]>([
    ['0::/system.slice/agent.service\n', '/system.slice/agent.service'],
    ['0::/\n', '/'],
    ['9:name=systemd:/a.service\n4:memory:/b\n0::/\n', '/a.service'],
    ['9:name=systemd:/\n4:memory:/b\n0::/\n', '/b'],
    ['9:name=systemd:/\n4:memory:/\n', '/'],
    ['4:cpu,cpuacct:/x\n', null],
    ['', null],
  ])('%j is %j', (text, path) => {
    expect(cgroupPath(text)).toBe(path);
  });
});
