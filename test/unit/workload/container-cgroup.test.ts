import { describe, expect, it } from 'vitest';
import { containerRoot, isOfPod } from '../../../src/workload/container-cgroup.ts';

const ID = 'a1'.repeat(32);
const OTHER = 'b2'.repeat(32);
const UID = '0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d';
const UNDERSCORED = UID.replaceAll('-', '_');
const ANOTHER = '11111111-4e5f-4a6b-8c7d-9e0f1a2b3c4d';

describe('the control group of a container', () => {
  it.each([
    [`/system.slice/docker-${ID}.scope`, `/system.slice/docker-${ID}.scope`],
    [`/system.slice/docker-${ID}.scope/init.scope`, `/system.slice/docker-${ID}.scope`],
    [`/docker/${ID}`, `/docker/${ID}`],
    [`/machine.slice/libpod-${ID}.scope/container`, `/machine.slice/libpod-${ID}.scope`],
    [`/a/${ID}/b/${ID}`, `/a/${ID}`],
    ['/system.slice/ssh.service', null],
    [`/docker/${ID.slice(0, 63)}`, null],
    ['', null],
  ])('in %s is %s', (path, root) => {
    expect(containerRoot(path, ID)).toBe(root);
  });
});

describe('a control group that the kubelet made for a pod', () => {
  it.each([
    ['systemd, guaranteed', `/kubepods.slice/kubepods-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope`],
    [
      'systemd, burstable',
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDERSCORED}.slice/crio-${ID}.scope`,
    ],
    [
      'systemd below kubelet',
      `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope`,
    ],
    ['cgroupfs', `/kubepods/besteffort/pod${UID}/${ID}`],
    ['cgroupfs, guaranteed, with a group within', `/kubepods/pod${UID}/${ID}/init`],
    ['a sibling in the pod', `/../cri-containerd-${ID}.scope`],
    ['another pod of the host', `/../../kubepods-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope`],
  ])('is known: %s', (_what, path) => {
    expect(isOfPod(path, ID, UID)).toBe(true);
  });

  it.each([
    ['another pod', `/kubepods.slice/kubepods-pod${ANOTHER.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`],
    ['another container', `/kubepods/pod${UID}/${OTHER}`],
    ['a group within the container of another', `/kubepods/pod${UID}/${OTHER}/${ID}`],
    [
      'the slice of a user',
      `/user.slice/user-1000.slice/kubepods.slice/kubepods-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope`,
    ],
    ['a service that may make groups', `/system.slice/x.service/kubepods/pod${UID}/${ID}`],
    ['the slice of a user, from within a namespace', `/../../user.slice/kubepods-pod${UNDERSCORED}.slice/${ID}`],
    ['no pod at all', `/system.slice/docker-${ID}.scope`],
    ['a pod without its uid', `/kubepods.slice/kubepods-burstable.slice/cri-containerd-${ID}.scope`],
    ['the top', `/cri-containerd-${ID}.scope`],
    ['a part of the uid', `/kubepods/pod${UID.slice(0, 8)}/${ID}`],
    ['a way back up', `/kubepods/pod${ANOTHER}/../pod${UID}/${ID}`],
    ['no path', ID],
    ['nothing', ''],
  ])('is not %s', (_what, path) => {
    expect(isOfPod(path, ID, UID)).toBe(false);
  });
});
