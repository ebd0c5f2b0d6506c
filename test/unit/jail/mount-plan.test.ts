import { describe, expect, it } from 'vitest';
import { type JailPlaces, type Look, planMounts } from '../../../src/jail/mount-plan.ts';
import { otherPathsOf, parseMountTable } from '../../../src/jail/mount-table.ts';

/** Path → folder, file, or `→ target`; a folder of `private` may be entered by its owner alone. */
type Tree = Readonly<Record<string, string>>;

function lookAt(tree: Tree): Look {
  const realPath = (path: string): string | null => {
    for (const [link, entry] of Object.entries(tree))
      if (entry.startsWith('→ ') && (path === link || path.startsWith(`${link}/`)))
        return realPath(`${entry.slice(2)}${path.slice(link.length)}`);
    return path in tree ? path : null;
  };
  const entryAt = (path: string): string | null => tree[realPath(path) ?? ''] ?? null;
  return {
    realPath,
    kindOf: (path) => (entryAt(path) === null ? null : entryAt(path) === 'file' ? 'file' : 'folder'),
    isPrivate: (path) => entryAt(path) === 'private',
    namesIn: (path) =>
      Object.keys(tree).flatMap((each) =>
        each.startsWith(`${path}/`) && !each.slice(path.length + 1).includes('/') ? [each.slice(path.length + 1)] : [],
      ),
    linkTarget: (path) => (tree[path]?.startsWith('→ ') === true ? (tree[path]?.slice(2) ?? null) : null),
  };
}

const TREE: Tree = {
  '/home/u': 'folder',
  '/home/u/work': 'folder',
  '/home/u/.state': 'private',
  '/home/u/.state/ca-bundle.pem': 'file',
  '/home/u/.state/admin.sock': 'file',
};

const plan = (tree: Tree = {}, places: Partial<JailPlaces> = {}) =>
  planMounts(
    {
      ...{ home: '/home/u', workingDirectory: '/home/u/work', environment: {} },
      ...{ proxyPaths: ['/home/u/.state', '/home/u/.state/admin.sock'] },
      ...{
        bundleFile: '/home/u/.state/ca-bundle.pem',
        rootsFile: '/tmp/roots/joined.pem',
        trustStore: '/home/u/.state/ca-bundle.jks',
      },
      ...{ hide: [], show: [], sockets: [], mounts: [], ...places },
    },
    lookAt({ ...TREE, ...tree }),
  );
/** What is done, in order: `-` hides, `+` shows. */
const stepsOf = (...given: Parameters<typeof plan>): string[] =>
  plan(...given).steps.map(({ do: what, at }) => `${{ show: '+', readOnly: '!' }[what as string] ?? '-'} ${at}`);

describe('what a jail hides', () => {
  it('is what is there of the lists', () => {
    const tree = {
      ...{ '/home/u/.aws': 'folder', '/home/u/.netrc': 'file', '/home/u/.config/gcloud': 'folder' },
      ...{ '/run': 'folder', '/tmp': 'folder', '/tmp/tmux-1000/default': 'file' },
    };
    expect(stepsOf(tree, { sockets: ['/tmp/tmux-1000/default'] })).toEqual([
      ...['- /home/u/.aws', '- /home/u/.config/gcloud', '- /home/u/.netrc', '- /run', '- /tmp'],
    ]);
  });

  it('is hidden where a link leads to, and where a variable or a socket names it', () => {
    const tree = {
      '/home/u/.aws': '→ /home/u/dots/aws',
      '/home/u/dots/aws': 'folder',
      '/kube': 'file',
      '/s/agent': 'file',
    };
    const places = { environment: { KUBECONFIG: '/none:/kube' }, sockets: ['/s/agent', '/s/gone'] };
    expect(stepsOf(tree, places)).toEqual(['- /home/u/dots/aws', '- /kube', '- /s/agent']);
  });

  it('is hidden under every path that the file system has', () => {
    const mounts = parseMountTable(
      '1 0 8:1 / / rw - ext4 x\n2 1 8:1 /home /data/homes rw - ext4 x\n3 1 8:2 / /mnt rw - ext4 y\n',
    );
    const tree = {
      '/home/u/.aws': 'folder',
      '/data/homes/u/.aws': 'folder',
      '/mnt/home/u/.aws': 'folder',
      '/data/homes/u/.state': 'folder',
    };
    expect(stepsOf(tree, { mounts })).toEqual(['- /data/homes/u/.aws', '- /data/homes/u/.state', '- /home/u/.aws']);
  });

  it('is hidden once where one lies in another, and what programs expect there is made', () => {
    const environment = { XDG_RUNTIME_DIR: '/run/user/1000', TMPDIR: '/tmp/mine' };
    expect(stepsOf({ '/run': 'folder', '/run/user/1000': 'folder' }, { environment })).toEqual(['- /run']);
    expect(plan({ '/run': 'folder', '/tmp': 'folder' }, { environment }).expectedFolders).toEqual([
      '/run/user/1000',
      '/tmp/mine',
    ]);
  });

  it('is more where the user says so, and less', () => {
    const tree = {
      '/home/u/.ssh': 'folder',
      '/home/u/.env': 'file',
      '/home/u/.aws': 'folder',
      '/home/u/.aws/config': 'file',
    };
    const places = { hide: ['/home/u/.env'], show: ['/home/u/.ssh', '/home/u/.aws/config'] };
    expect(stepsOf(tree, places)).toEqual(['- /home/u/.aws', '+ /home/u/.aws/config', '- /home/u/.env']);
    // A device is put into the new /dev.
    expect(stepsOf({ '/dev/kvm': 'file' }, { show: ['/dev/kvm'] })).toEqual(['+ /dev/kvm']);
  });

  it('is all of /tmp but the part in which somebody works, and in that part what is hidden anywhere', () => {
    const tree = {
      '/tmp': 'folder',
      '/tmp/x': 'folder',
      '/tmp/x/work': 'folder',
      '/tmp/x/agent': 'file',
      '/tmp/agent': 'file',
    };
    const places = { workingDirectory: '/tmp/x/work', sockets: ['/tmp/agent', '/tmp/x/agent'] };
    expect(stepsOf(tree, places)).toEqual(['- /tmp', '+ /tmp/x', '- /tmp/x/agent']);
  });

  it('is not /sys, but that can only be read, with the flags that it has', () => {
    const mounts = parseMountTable(
      '1 0 0:1 / / rw\n2 1 0:2 / /sys rw,nosuid,relatime\n3 2 0:3 / /sys/fs/cgroup ro\n4 2 0:4 / /system rw',
    );
    expect(plan({}, { mounts }).steps).toEqual([{ do: 'readOnly', at: '/sys', flags: ['nosuid', 'relatime'] }]);
  });

  it('keeps the links of /run, where some systems have themselves', () => {
    const { steps } = plan({ '/run': 'folder', '/run/current-system': '→ /nix/store/x', '/run/lock': 'folder' });
    expect(steps).toEqual([{ do: 'hideFolder', at: '/run', links: [['current-system', '/nix/store/x']] }]);
  });

  it('is never the proxy’s state less: that cannot be shown, but the bundle in it stays in reach', () => {
    expect(stepsOf({}, { show: ['/home/u/.state/admin.sock'] })).toEqual([]);
    const tree = { '/tmp': 'folder', '/tmp/s': 'private', '/tmp/s/ca.pem': 'file' };
    const places = { proxyPaths: ['/tmp/s'], bundleFile: '/tmp/s/ca.pem' };
    expect(stepsOf(tree, places)).toEqual(['- /tmp', '+ /tmp/s']);
    expect(plan(tree, places).stage).toBe('/tmp/s');
  });

  it('is the whole private folder of a key that the policy names, or the key alone where somebody works there', () => {
    const tree = {
      '/keys': 'private',
      '/keys/a': 'file',
      '/open': 'folder',
      '/open/b': 'file',
      '/home/u/work/c': 'file',
    };
    const places = { proxyPaths: ['/keys/a', '/open/b', '/home/u/work/c'] };
    expect(stepsOf({ ...tree, '/home/u/work': 'private' }, places)).toEqual([
      '- /home/u/work/c',
      '- /keys',
      '- /open/b',
    ]);
  });
});

describe('what a jail refuses', () => {
  it.each<[string, Tree, Partial<JailPlaces>, RegExp]>([
    ['to hide what is not there', {}, { hide: ['/none'] }, /--jail-hide \/none: there is no such file or folder/],
    ['to show what is not there', {}, { show: ['/none'] }, /--jail-show \/none: there is no such/],
    [
      'to work in a hidden folder',
      { '/run': 'folder', '/run/media/x': 'folder' },
      { workingDirectory: '/run/media/x' },
      /is in \/run, which the jail hides; go elsewhere, or give --jail-show \/run\/media\/x/,
    ],
    [
      'to work in the proxy’s state',
      {},
      { workingDirectory: '/home/u/.state' },
      /is in \/home\/u\/\.state, which the jail hides; it is the state of the proxy/,
    ],
    ['to work in /tmp itself', { '/tmp': 'folder' }, { workingDirectory: '/tmp' }, /is in \/tmp, which the jail hides/],
    ['to work in /dev', { '/dev/shm': 'folder' }, { workingDirectory: '/dev/shm' }, /is in \/dev, which/],
    ['to hide the working directory', {}, { hide: ['/home/u/work'] }, /which the jail hides/],
  ])('%s', (_what, tree, places, words) => {
    expect(() => plan(tree, places)).toThrow(words);
  });

  it('nothing where the hidden folder of the working directory is shown', () => {
    const tree = { '/run': 'folder', '/run/media/x': 'folder' };
    const places = { workingDirectory: '/run/media/x', show: ['/run/media/x'] };
    expect(stepsOf(tree, places)).toEqual(['- /run', '+ /run/media/x']);
  });
});

describe('what a jail covers', () => {
  it('are the roots that are there, once each', () => {
    const { rootFiles, javaStores, rootFolder, resolver } = plan(
      {
        '/etc/ssl/cert.pem': '→ /etc/ssl/certs/ca-certificates.crt',
        '/etc/ssl/certs': 'folder',
        '/etc/ssl/certs/ca-certificates.crt': 'file',
        '/etc/ssl/certs/0a1b2c3d.0': 'file',
        '/jdk/lib/security/cacerts': 'file',
        '/usr/lib/jvm/17': 'folder',
        '/usr/lib/jvm/17/lib/security/cacerts': '→ /etc/java/cacerts',
        '/etc/java/cacerts': 'file',
        '/etc/resolv.conf': '→ /run/r/stub',
        '/run/r/stub': 'file',
      },
      { environment: { JAVA_HOME: '/jdk' } },
    );
    expect(rootFiles).toEqual(['/etc/ssl/certs/ca-certificates.crt']);
    expect(javaStores).toEqual(['/etc/java/cacerts', '/jdk/lib/security/cacerts']);
    expect([rootFolder, resolver]).toEqual(['/etc/ssl/certs', '/run/r/stub']);
  });
});

describe('the table of mounts', () => {
  it('is read with blanks in its paths', () => {
    expect(parseMountTable('36 35 98:0 /mnt1 /my\\040disk rw,noatime master:1 - ext3 /dev/root rw\n\nodd')).toEqual([
      { device: '98:0', root: '/mnt1', at: '/my disk', flags: ['rw', 'noatime'] },
    ]);
  });

  it.each<[string, string[]]>([
    ['/a/x', ['/b/x']],
    ['/a', ['/b']],
    ['/other', []],
  ])('knows the other paths of %s', (path, others) => {
    const mounts = parseMountTable('1 0 0:1 / / r\n2 1 8:1 /v /a r\n3 1 8:1 /v /b r\n4 1 8:1 /w /c r');
    expect(otherPathsOf(path, mounts)).toEqual(others);
  });
});
