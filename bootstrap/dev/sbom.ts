/**
 * What a release is made of, as CycloneDX 1.6: the packages that are in the bundles, by the paths of their files, Node with
 * what it brings along, and Compose. `npm sbom` lists what is installed to develop, which is another thing.
 *
 * The same for the same sources: the serial number is a hash, and there is no time in it.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ReleaseStamp } from './build.ts';
import type { ComposePlugin } from './release-compose.ts';
import { lockedPackage } from './sea.ts';

const root = resolve(import.meta.dirname, '../..');

/** For each program its sources, as paths below the repository. */
export type Programs = Readonly<Record<string, readonly string[]>>;

export function sbomOf(stamp: ReleaseStamp, programs: Programs, plugins: readonly ComposePlugin[]): string {
  const document = {
    ...{ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 },
    metadata: {
      component: {
        ...{ type: 'application', name: 'gpuaas-node-agent', version: stamp.version },
        ...{ 'bom-ref': 'gpuaas-node-agent', licenses: [{ license: { id: 'Apache-2.0' } }] },
        properties: [{ name: 'gpuaas:commit', value: stamp.commit }],
      },
    },
    components: [...packagesIn(programs), nodeComponent(), ...plugins.map(composeComponent)],
  };
  const serial = createHash('sha256').update(JSON.stringify(document)).digest('hex');
  return `${JSON.stringify({ ...document, serialNumber: `urn:uuid:${uuidOf(serial)}` }, null, 1)}\n`;
}

function packagesIn(programs: Programs): object[] {
  const users = new Map<string, Set<string>>();
  for (const [program, sources] of Object.entries(programs)) {
    for (const source of sources) {
      const [folder] = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(source) ?? [];
      if (folder) users.set(folder, (users.get(folder) ?? new Set()).add(program));
    }
  }
  return [...users.keys()].sort().map((folder) => packageComponent(folder, [...(users.get(folder) ?? [])]));
}

function packageComponent(folder: string, programs: readonly string[]): object {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    ...{ type: 'library', 'bom-ref': `${purl}#${folder}`, name, version, purl },
    licenses: [/[ (]/.test(license) ? { expression: license } : { license: { id: license } }],
    hashes: hashesOf(folder.slice('node_modules/'.length)),
    properties: programs.map((value) => ({ name: 'gpuaas:in', value })),
  };
}

function nodeComponent(): object {
  const { node, modules: _abi, napi: _napi, unicode: _unicode, cldr: _cldr, tz: _tz, ...parts } = process.versions;
  const component = (name: string, version: string) => ({
    ...{ type: 'library', 'bom-ref': `node/${name}@${version}`, name, version, purl: `pkg:generic/${name}@${version}` },
  });
  return {
    ...{ type: 'platform', 'bom-ref': `pkg:generic/node@${node}`, name: 'node', version: node },
    ...{ purl: `pkg:generic/node@${node}`, licenses: [{ license: { id: 'MIT' } }] },
    hashes: ['x64', 'arm64'].flatMap((arch) => hashesOf(`node-linux-${arch}`)),
    components: Object.entries(parts).map(([name, version]) => component(name, version ?? '')),
  };
}

function composeComponent({ arch, debianVersion, debianArch, sha256 }: ComposePlugin): object {
  const purl = `pkg:deb/debian/docker-compose@${debianVersion}?arch=${debianArch}`;
  return {
    ...{ type: 'application', 'bom-ref': purl, name: `docker-compose (${arch})`, version: debianVersion, purl },
    ...{ licenses: [{ license: { id: 'Apache-2.0' } }], hashes: [{ alg: 'SHA-256', content: sha256 }] },
  };
}

function hashesOf(name: string): object[] {
  const [, base64 = ''] = /^sha512-(.+)$/.exec(lockedPackage(name).integrity) ?? [];
  return [{ alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }];
}

/** Version 8 of RFC 9562: bits of our own choice. */
function uuidOf(hash: string): string {
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}
