/**
 * `npm run release -- --out DIR [--keys DIR]`: everything that a host or a control plane installs, as one folder with a signed
 * manifest (docs/releases.md). Two runs on one commit write the same bytes, wherever and whenever, but for the signature's
 * dates: give `--expires` to have those the same as well.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type ParseArgsOptionsConfig, parseArgs, promisify } from 'node:util';
import { gzip } from 'node:zlib';
import agent from '../../package.json' with { type: 'json' };
import { verifyReleaseFolder } from '../../src/cli/gpuaas/release-folder.ts';
import { signManifest } from '../../src/cli/gpuaas/release-key-files.ts';
import {
  Release,
  type ReleaseArchitecture,
  type ReleaseArtifact,
  releaseArchitectures,
  releasePapers,
  releaseText,
} from '../../src/contract/release.ts';
import { judge } from '../../src/contract/validate.ts';
import { measureFile } from '../../src/kit/measure-file.ts';
import { releaseRootOf, sha256Of } from '../../src/policy/release-trust.ts';
import { type ReleaseStamp, writeAgent, writeGpuaas } from './build.ts';
import { step } from './progress.ts';
import { composePlugin, composePlugins } from './release-compose.ts';
import { sbomOf } from './sbom.ts';
import { buildBinary, nodeFor } from './sea.ts';

const root = resolve(import.meta.dirname, '../..');
const usualDays = 90;

export interface ReleaseOptions {
  /** Where it is written to: a folder that is empty, or not there. */
  readonly out: string;
  /** Folder of `gpuaas release-keys`; without it nothing is signed. */
  readonly keys?: string;
  readonly version: string;
  readonly commit: string;
  readonly seq: number;
  readonly channel: string;
  readonly min_from: number;
  readonly floor: number;
  readonly expires: string;
  readonly archs: readonly ReleaseArchitecture[];
}

/** Writes a release, and verifies it as its readers will where it is signed. */
export async function makeRelease(options: ReleaseOptions): Promise<Release> {
  const { out, keys, version, commit, archs, ...about } = options;
  const work = mkdtempSync(join(tmpdir(), 'gpuaas-release-'));
  const folder = new ReleaseFolder(out);
  try {
    const stamp: ReleaseStamp = { version, commit };
    const built = await step('bundling', async () => ({
      agent: await writeAgent(join(work, 'agent'), stamp),
      gpuaas: await writeGpuaas(join(work, 'gpuaas'), stamp),
    }));
    for (const arch of archs) {
      await step(`making the binary for ${arch}`, () => addBinary(folder, built.agent.file, arch, version));
      await addCompose(folder, arch);
    }
    const program = ['gpuaas.mjs', 'console', 'gpuaas.THIRD-PARTY-LICENSES'];
    await folder.addTarball('control_plane', `gpuaas-${version}.tar.gz`, dirname(built.gpuaas.file), program);
    await folder.addTarball('host', `host-${version}.tar.gz`, root, ['systemd']);
    await folder.add('bootstrap', 'any', 'bootstrap.sh', readFileSync(join(root, 'bootstrap/bootstrap.sh')));
    const plugins = archs.map((arch) => composePlugins[arch]);
    const sources = { 'node-agent': built.agent.sources, gpuaas: built.gpuaas.sources };
    await folder.add('sbom', 'any', 'sbom.cdx.json', Buffer.from(sbomOf(stamp, sources, plugins)));
    await folder.add('licences', 'any', 'THIRD-PARTY-LICENSES', Buffer.from(await licences(work, archs)));
    const { seq, channel, ...bounds } = about;
    const artifacts = folder.artifacts;
    const release: Release = { schema: 'gpuaas-release.v1', seq, version, commit, channel, ...bounds, artifacts };
    const judged = judge(Release, release);
    if (!judged.ok) throw new Error(judged.errors.map(({ path, message }) => `${path} ${message}`).join('\n'));
    writeFileSync(join(out, releasePapers.manifest), releaseText(release));
    writeFileSync(join(out, 'SHA256SUMS'), artifacts.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''));
    if (keys) {
      signManifest(out, keys);
      await verifyReleaseFolder(out, releaseRootOf(readFileSync(join(keys, 'root.pem'), 'utf8')));
    }
    return release;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

class ReleaseFolder {
  readonly artifacts: ReleaseArtifact[] = [];
  readonly #path: string;

  constructor(path: string) {
    if (existsSync(join(path, releasePapers.manifest))) throw new Error(`${path} has a release already.`);
    mkdirSync(path, { recursive: true });
    this.#path = path;
  }

  async add(
    kind: ReleaseArtifact['kind'],
    arch: ReleaseArtifact['arch'],
    name: string,
    bytes: Uint8Array,
    unpacked: Pick<ReleaseArtifact, 'unpacked_size' | 'unpacked_sha256'> = {},
  ): Promise<void> {
    const file = join(this.#path, name);
    writeFileSync(file, bytes);
    const os = arch === 'any' && kind !== 'host' && kind !== 'bootstrap' ? 'any' : 'linux';
    this.artifacts.push({ name, kind, os, arch, ...(await measureFile(file)), ...unpacked });
  }

  /** Names, order, owners, modes and times in it are the same wherever it is made. */
  async addTarball(
    kind: ReleaseArtifact['kind'],
    name: string,
    folder: string,
    entries: readonly string[],
  ): Promise<void> {
    const same = ['--sort=name', '--format=ustar', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
    const options = [...same, '--mode=u=rwX,go=rX', '-C', folder, '-cf', '-', ...entries];
    const bytes = execFileSync('tar', options, { maxBuffer: 2 ** 28 });
    await this.add(kind, 'any', name, await packed(bytes), unpackedFacts(bytes));
  }
}

async function addBinary(
  folder: ReleaseFolder,
  program: string,
  arch: ReleaseArchitecture,
  version: string,
): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'gpuaas-binary-'));
  try {
    await buildBinary(program, arch, join(work, 'node-agent'));
    const bytes = readFileSync(join(work, 'node-agent'));
    await folder.add(
      'agent',
      arch,
      `node-agent-${version}-linux-${arch}.gz`,
      await packed(bytes),
      unpackedFacts(bytes),
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function addCompose(folder: ReleaseFolder, arch: ReleaseArchitecture): Promise<void> {
  const { file } = await composePlugin(arch);
  await folder.add('compose', arch, `docker-compose-linux-${composePlugins[arch].arch}`, readFileSync(file));
}

/** No name and no time is in it, for zlib is given bytes and not a file. */
async function packed(bytes: Uint8Array): Promise<Uint8Array> {
  return await promisify(gzip)(bytes);
}

function unpackedFacts(bytes: Uint8Array) {
  return { unpacked_size: bytes.length, unpacked_sha256: sha256Of(bytes) };
}

async function licences(work: string, archs: readonly ReleaseArchitecture[]): Promise<string> {
  const node = join(dirname(await nodeFor('x64')), '../LICENSE');
  const texts = [
    ...[`Node ${process.versions.node}, in node-agent\n\n${readFileSync(node, 'utf8')}`],
    ...archs.slice(0, 1).map(async (arch) => `Docker Compose\n\n${(await composePlugin(arch)).licence}`),
    readFileSync(join(work, 'agent/THIRD-PARTY-LICENSES'), 'utf8'),
  ];
  return (await Promise.all(texts)).join(`\n${'='.repeat(80)}\n\n`);
}

const flags = {
  out: { type: 'string' },
  keys: { type: 'string' },
  version: { type: 'string', default: agent.version },
  commit: { type: 'string' },
  seq: { type: 'string' },
  channel: { type: 'string', default: 'stable' },
  'min-from': { type: 'string', default: '0' },
  floor: { type: 'string', default: '0' },
  expires: { type: 'string' },
  arch: { type: 'string', multiple: true },
} satisfies ParseArgsOptionsConfig;

/** Throws for what cannot be made, before anything is. */
export function optionsOf(args: readonly string[]): ReleaseOptions {
  const { values } = parseArgs({ args: [...args], options: flags });
  const { out, keys, seq, version, commit = cleanCommit(), channel, floor, arch = [...releaseArchitectures] } = values;
  if (out === undefined || seq === undefined) {
    throw new Error(
      'usage: npm run release -- --out DIR --seq N [--keys DIR] [--version V] [--channel NAME] [--commit SHA] [--min-from N] [--floor N] [--expires TIME] [--arch x64|arm64]…',
    );
  }
  const expires = values.expires ?? `${new Date(Date.now() + usualDays * 86_400_000).toISOString().slice(0, 19)}Z`;
  const archs = releaseArchitectures.filter((each) => arch.includes(each));
  const unknown = arch.filter((each) => !releaseArchitectures.some((known) => known === each));
  if (unknown.length > 0) throw new Error(`There is no agent for ${unknown}, only for ${releaseArchitectures}.`);
  return {
    ...{ out: resolve(out), version, commit, seq: Number(seq), channel, archs },
    ...{ min_from: Number(values['min-from']), floor: Number(floor), expires, ...(keys && { keys: resolve(keys) }) },
  };
}

/** A release of what is nowhere written down could never be made again. */
function cleanCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  if (git('status', '--porcelain') !== '')
    throw new Error('The checkout has changes: commit them, or say --commit SHA.');
  return git('rev-parse', 'HEAD');
}

if (import.meta.main) {
  try {
    const options = optionsOf(process.argv.slice(2));
    const { artifacts, version, seq } = await makeRelease(options);
    for (const { name, size } of artifacts) console.log(`${(size / 2 ** 20).toFixed(1).padStart(7)} MiB  ${name}`);
    console.log(
      `${options.out}: ${version}, number ${seq}, ${options.keys ? 'signed' : 'not signed: gpuaas release-keys sign'}`,
    );
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
