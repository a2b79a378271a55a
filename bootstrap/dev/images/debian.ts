/**
 * Debian as the ground of larger images: where its packages come from on this machine, and its minimal root.
 *
 * The machine's own mirror and its way to it (proxy, retries) are used while an image is made; the way to it is left out.
 */

import { ensurePackages } from '../packages.ts';
import { run } from '../processes.ts';
import { place } from './recipe.ts';

/** The release that the images are made of. */
export const SUITE = 'trixie';

/** Leaves out what nobody reads in a container; licences stay. Packages of later layers obey it too. */
const DPKG_CONFIG = `force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
`;

/** Fills `root` with Debian's minimal system and `packages`. */
export async function fillDebian(root: string, packages: readonly string[]): Promise<void> {
  await ensurePackages(['debootstrap', 'ca-certificates']);
  const include = `--include=${packages.join(',')}`;
  await run('debootstrap', ['--variant=minbase', include, SUITE, root, await mirror()]);
  await place(root, 'etc/dpkg/dpkg.cfg.d/small', DPKG_CONFIG);
  await place(root, 'etc/apt/apt.conf.d/small', 'APT::Install-Recommends "false";\nAPT::Install-Suggests "false";\n');
}

/** `apt.conf` text for a container in which packages are installed: how this machine reaches its mirror. */
export async function aptAccess(): Promise<string> {
  const lines = (await run('apt-config', ['dump', 'Acquire'])).split('\n');
  return lines.filter((line) => /^Acquire::(Check-|http|https|Retries)/.test(line)).join('\n');
}

/** The mirror of Debian's main archive that this machine is set up with. */
export async function mirror(): Promise<string> {
  const known = (await run('apt-get', ['indextargets', '--format', '$(REPO_URI)'])).split('\n');
  const main = known.find((uri) => /\/debian\/$/.test(uri));
  if (main === undefined)
    throw new Error("apt names no mirror of Debian's main archive. Add one to its sources and run again.");
  return main;
}
