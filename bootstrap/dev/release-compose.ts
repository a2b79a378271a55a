/** The Compose plugin that a release brings for hosts whose distribution has none: Debian's, pinned by hash. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReleaseArchitecture } from '../../src/contract/release.ts';
import { mirror, SUITE } from './images/debian.ts';
import { unpackPackage } from './packages.ts';

export interface ComposePlugin {
  /** Processor as Compose calls it. */
  readonly arch: string;
  readonly debianArch: string;
  readonly debianVersion: string;
  readonly sha256: string;
}

const debianVersion = '2.26.1-4';

export const composePlugins: Readonly<Record<ReleaseArchitecture, ComposePlugin>> = {
  x64: {
    ...{ arch: 'x86_64', debianArch: 'amd64', debianVersion },
    sha256: 'c0ef2e286ba1c45bf1868b70a1c71d30a802bb3996888f2f986c3166f9e45f57',
  },
  arm64: {
    ...{ arch: 'aarch64', debianArch: 'arm64', debianVersion },
    sha256: 'c5952b37e58ab189e98651355afba11c1fa1c62d0e67072182fc6b40f867ea45',
  },
};

/** Fetches the plugin for a processor once, and gives its file and the text of its licence. */
export async function composePlugin(arch: ReleaseArchitecture): Promise<{ file: string; licence: string }> {
  const { debianArch, sha256 } = composePlugins[arch];
  const name = debianArch === 'amd64' ? 'docker-compose' : `docker-compose:${debianArch}`;
  const root = await unpackPackage(name, async () => ({ mirror: await mirror(), suite: SUITE }));
  const file = join(root, 'usr/libexec/docker/cli-plugins/docker-compose');
  const found = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (found !== sha256) {
    throw new Error(
      `Debian's Compose for ${arch} is not ${debianVersion} any more: ${file} has sha256 ${found}. Look at what changed, then pin it in release-compose.ts.`,
    );
  }
  return { file, licence: readFileSync(join(root, 'usr/share/doc/docker-compose/copyright'), 'utf8') };
}
