/**
 * `host-debian-…`: a bare Debian with systemd as its first process, which stands for a GPU host in tests. With `-engine` it has what
 * a bootstrap would install: the engine, and the one library of Node that a minimal Debian lacks.
 *
 * Nothing of this machine is left in it; how it reaches its mirror is told to each host when it is started.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePackages } from '../packages.ts';
import { run } from '../processes.ts';
import { mirror } from './debian.ts';
import { type LayerRecipe, place, placeFolders, type RootRecipe } from './recipe.ts';

/** Debian's releases that hosts are tested on, with their names. */
export const hostSuites = { 13: 'trixie', 12: 'bookworm' } as const;

export type HostRelease = keyof typeof hostSuites;

const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'ca-certificates', 'curl', 'iproute2', 'iptables', 'openssl'],
  ...['procps', 'util-linux'],
];

/** By themselves they would run apt while a test does, at a time that nobody knows. */
const quiet = ['apt-daily.timer', 'apt-daily-upgrade.timer'];

const SMALL = `path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
`;

export const host13 = bareHost(13);
export const host12 = bareHost(12);
export const host13Engine = hostWithEngine(13);
export const host12Engine = hostWithEngine(12);

function bareHost(release: HostRelease): RootRecipe {
  return {
    kind: 'root',
    name: `host-debian-${release}`,
    sources: ['systemd-host.ts'],
    changes: [
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'ENV container=docker',
      'CMD ["/sbin/init"]',
    ],
    fill: (root) => fillHost(root, hostSuites[release]),
  };
}

function hostWithEngine(release: HostRelease): LayerRecipe {
  return {
    kind: 'layer',
    name: `host-debian-${release}-engine`,
    base: `host-debian-${release}`,
    sources: ['systemd-host.ts', 'systemd-host.sh'],
    script: 'systemd-host.sh',
    changes: ['CMD ["/sbin/init"]'],
  };
}

async function fillHost(root: string, suite: string): Promise<void> {
  await ensurePackages(['debootstrap', 'ca-certificates']);
  await run('debootstrap', ['--variant=minbase', `--include=${packages.join(',')}`, suite, root, await mirror()]);
  await place(root, 'etc/dpkg/dpkg.cfg.d/small', SMALL);
  await place(root, 'etc/apt/sources.list', `deb http://deb.debian.org/debian ${suite} main\n`);
  await run('chroot', [root, 'systemctl', 'mask', ...quiet]);
  // Each host makes its own at its first boot.
  await place(root, 'etc/machine-id', '');
  for (const path of [
    'var/lib/dbus/machine-id',
    'etc/hostname',
    'etc/resolv.conf',
    'var/cache/apt',
    'var/lib/apt/lists',
  ]) {
    await rm(join(root, path), { recursive: true, force: true });
  }
  await placeFolders(root, ['var/cache/apt/archives/partial', 'var/lib/apt/lists/partial']);
}
