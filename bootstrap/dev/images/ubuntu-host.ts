/**
 * `host-ubuntu-24.04`: a bare Ubuntu with systemd as its first process, for x86-64, as `systemd-host.ts` has Debian's.
 *
 * debootstrap believes what Ubuntu's keyring has signed. That is no package of Debian: it comes from Ubuntu's archive, pinned by hash.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePackages } from '../packages.ts';
import { run } from '../processes.ts';
import { place, type RootRecipe } from './recipe.ts';

const archive = 'http://archive.ubuntu.com/ubuntu';
const suite = 'noble';
const keyring = {
  url: `${archive}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb`,
  sha256: '36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8',
};

/** Where packages come from on such a host. */
export const ubuntuSources = [suite, `${suite}-updates`]
  .map((each) => `deb ${archive} ${each} main universe\n`)
  .join('');

const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'ca-certificates', 'curl', 'iproute2', 'iptables', 'openssl'],
  ...['procps', 'util-linux'],
];

export const hostUbuntu: RootRecipe = {
  kind: 'root',
  name: 'host-ubuntu-24.04',
  sources: ['ubuntu-host.ts'],
  changes: [
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'ENV container=docker',
    'CMD ["/sbin/init"]',
  ],
  fill: fillUbuntu,
};

/** Whether such a host can be made here: not every place that has Debian's packages has Ubuntu's, and its archive is for x86-64. */
export async function ubuntuIsAtHand(): Promise<boolean> {
  if (process.arch !== 'x64') return false;
  try {
    const { ok } = await fetch(keyring.url, { method: 'HEAD', signal: AbortSignal.timeout(10_000) });
    return ok;
  } catch {
    return false;
  }
}

async function fillUbuntu(root: string): Promise<void> {
  await ensurePackages(['debootstrap', 'ca-certificates']);
  const keys = `${root}.keys`;
  await unpackKeyring(keys);
  await run('debootstrap', [
    ...['--variant=minbase', '--components=main,universe', `--include=${packages.join(',')}`],
    ...[`--keyring=${join(keys, 'usr/share/keyrings/ubuntu-archive-keyring.gpg')}`, suite, root, archive],
    // The one that all names of Ubuntu stand for; Debian 12 does not know this name yet.
    '/usr/share/debootstrap/scripts/gutsy',
  ]);
  for (const timer of ['apt-daily.timer', 'apt-daily-upgrade.timer']) {
    await run('ln', ['-sf', '/dev/null', join(root, 'etc/systemd/system', timer)]);
  }
  // Each host makes its own at its first boot.
  await place(root, 'etc/machine-id', '');
  await run('rm', [
    '-rf',
    keys,
    ...['var/lib/dbus/machine-id', 'etc/hostname', 'etc/resolv.conf'].map((path) => join(root, path)),
  ]);
  await run('chroot', [root, 'apt-get', 'clean']);
}

async function unpackKeyring(to: string): Promise<void> {
  const answer = await fetch(keyring.url);
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (createHash('sha256').update(bytes).digest('hex') !== keyring.sha256) {
    throw new Error(`${keyring.url} answered ${answer.status} with another file than is pinned.`);
  }
  await run('mkdir', ['-p', to]);
  await writeFile(join(to, 'keyring.deb'), bytes);
  await run('dpkg-deb', ['--extract', join(to, 'keyring.deb'), to]);
}
