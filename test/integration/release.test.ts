/**
 * A release as people make it, once for all: complete, signed, the same bytes wherever it is made, and a program for each
 * processor that takes orders from nobody's environment.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { makeRelease } from '../../bootstrap/dev/release.ts';
import { verifyReleaseFolder } from '../../src/cli/gpuaas/release-folder.ts';
import { initReleaseKeys } from '../../src/cli/gpuaas/release-key-files.ts';
import type { Release, ReleaseArtifact } from '../../src/contract/release.ts';
import { releaseRootOf } from '../../src/policy/release-trust.ts';
import { certificate } from '../support/certificate.ts';
import { type StandIn, standIn } from '../support/control-plane-stand-in.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const folder = temporaryFolder('release');
const [out, again, keys] = [join(folder, 'out'), join(folder, 'again'), join(folder, 'keys')];
const [x64, arm64] = [join(folder, 'node-agent-x64'), join(folder, 'node-agent-arm64')];
const about = { version: '9.8.7', commit: 'c'.repeat(40), seq: 3, expires: '2100-01-01T00:00:00Z' };

/** Another path, umask, time zone, home and language; the time is another anyhow. */
const elsewhere = `
  mkdir "$3" && mount --bind "$1" "$3" && cd "$3" && umask 077
  exec env TZ=Asia/Tokyo LC_ALL=C HOME=/nonexistent sh bootstrap/dev/with-node.sh bootstrap/dev/release.ts --out "$2" \\
    --version ${about.version} --commit ${about.commit} --seq ${about.seq} --expires ${about.expires}`;

let release: Release;
let stranger: StandIn;

beforeAll(async () => {
  await ensurePackages(['qemu-user-static', 'libc6-arm64-cross', 'libstdc++6-arm64-cross', 'libatomic1-arm64-cross']);
  initReleaseKeys(keys);
  const archs = ['x64', 'arm64'] as const;
  const bounds = { channel: 'stable', min_from: 0, floor: 0, archs };
  const another = run('unshare', ['--mount', 'sh', '-ec', elsewhere, 'sh', root, again, join(folder, 'elsewhere')]);
  [release] = await Promise.all([makeRelease({ out, keys, ...about, ...bounds }), another]);
  for (const [program, arch] of [
    [x64, 'x64'],
    [arm64, 'arm64'],
  ] as const) {
    writeFileSync(program, gunzipSync(bytesOf(fileOf('agent', arch))), { mode: 0o755 });
  }
  const tls = certificate(folder);
  stranger = await standIn((_asked, response) => response.writeHead(404).end('{}'), tls);
}, 900_000);
afterAll(async () => await stranger?.close());

describe('the folder', () => {
  it('has everything that is installed, and the papers for it', async () => {
    const names = release.artifacts.map(({ name }) => name);

    expect(names.sort()).toEqual([
      ...['THIRD-PARTY-LICENSES', 'bootstrap.sh', 'docker-compose-linux-aarch64', 'docker-compose-linux-x86_64'],
      ...['gpuaas-9.8.7.tar.gz', 'host-9.8.7.tar.gz', 'node-agent-9.8.7-linux-arm64.gz'],
      ...['node-agent-9.8.7-linux-x64.gz', 'sbom.cdx.json'],
    ]);
    expect(readdirSync(out).sort()).toEqual(
      [
        ...names,
        ...['SHA256SUMS', 'release-keys.pem', 'release-keys.pem.sig', 'release.json', 'release.json.sig'],
      ].sort(),
    );
    await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out });
    const trusted = await verifyReleaseFolder(out, releaseRootOf(readFileSync(join(keys, 'root.pem'), 'utf8')));
    expect(trusted.release).toEqual(release);
  });

  it('has the same bytes when it is made from another path, with another umask, time zone and home', async () => {
    const signed = new Set(['release-keys.pem', 'release-keys.pem.sig', 'release.json.sig']);
    const files = readdirSync(again).sort();

    expect(files).toEqual(
      readdirSync(out)
        .filter((name) => !signed.has(name))
        .sort(),
    );
    const hashes = async (at: string) => (await run('sha256sum', files, { cwd: at })).stdout;
    expect(await hashes(again)).toBe(await hashes(out));
  });

  it('has files for hosts and control planes that anybody may read and only root may change', async () => {
    for (const name of [fileOf('host').name, fileOf('control_plane').name]) {
      const { stdout } = await run('tar', ['-tvzf', join(out, name)]);
      const lines = stdout.trimEnd().split('\n');

      expect(lines.filter((line) => !/^[-d]rw[-x]r-[-x]r-[-x] 0\/0 /.test(line))).toEqual([]);
      expect(lines.length).toBeGreaterThan(3);
    }
  });

  it('has a control plane that starts where nothing else is, with its console', async () => {
    await run('tar', ['-xzf', join(out, fileOf('control_plane').name), '-C', folder]);

    const { stdout } = await run(process.execPath, [join(folder, 'gpuaas.mjs'), '--help'], { cwd: '/' });
    expect(stdout).toContain('gpuaas');
    expect(existsSync(join(folder, 'console/index.html'))).toBe(true);
  });

  it('takes at most 50 MB for the agent', () => {
    for (const arch of ['x64', 'arm64']) expect(fileOf('agent', arch).size).toBeLessThanOrEqual(50e6);
  });

  it('names in its bill of materials what is in the programs, with versions and hashes, and nothing else', () => {
    const { components } = JSON.parse(readFileSync(join(out, 'sbom.cdx.json'), 'utf8')) as Bill;
    const inAgent = components.filter(({ properties = [] }) => properties.some(({ value }) => value === 'node-agent'));
    const nodes = packagesIn(process.execPath);
    const told = [...packagesIn(x64)].filter((name) => !nodes.has(name));
    const names = new Set(inAgent.map(({ name }) => name));

    expect(told.filter((name) => !names.has(name))).toEqual([]);
    expect(told).toContain('dockerode');
    expect([...names]).toEqual(expect.arrayContaining(['dockerode', 'ws', 'ajv', 'pino']));
    expect(
      [...names].filter((name) => /^(ssh2|cpu-features|@grpc\/.*|esbuild|vitest|typescript|fastify)$/.test(name)),
    ).toEqual([]);
    expect(components.map(({ name }) => name)).toEqual(expect.arrayContaining(['node', 'fastify', 'preact']));
    expect(components.filter(({ version, hashes = [] }) => !version || hashes.length === 0)).toEqual([]);
  });
});

describe('the program', () => {
  it('says what it was made from', async () => {
    const { stdout } = await run(x64, ['version', '--json'], { cwd: '/', env: {} });

    expect(JSON.parse(stdout)).toMatchObject({
      ...{ version: '9.8.7', commit: about.commit, node: process.versions.node, arch: 'x64', single_file: true },
      ...{ protocol: 1, journal: expect.any(Number), config: expect.any(Number), tasks: { 'workload.oci_launch': 1 } },
    });
  });

  it('finds that it works', async () => {
    const { stdout } = await run(x64, ['self-test', '--json'], { cwd: '/', env: {} });

    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
  });

  it('works on the other processor, too', async () => {
    const qemu = async (...args: string[]) =>
      (await run('qemu-aarch64-static', ['-L', '/usr/aarch64-linux-gnu', arm64, ...args], { cwd: '/', env: {} }))
        .stdout;

    expect(JSON.parse(await qemu('version', '--json'))).toMatchObject({
      version: '9.8.7',
      arch: 'arm64',
      single_file: true,
    });
    expect(JSON.parse(await qemu('self-test', '--json'))).toMatchObject({ ok: true });
  });

  it('starts with code that was compiled ahead', async () => {
    const { stderr } = await run(x64, ['version'], { env: { NODE_DEBUG_NATIVE: 'SEA' } });

    expect(stderr).toContain('code cache accepted');
  });

  it('runs no code that NODE_OPTIONS names, as Node would', async () => {
    const [code, mark] = [join(folder, 'code.cjs'), join(folder, 'mark')];
    writeFileSync(code, `require('node:fs').appendFileSync(${JSON.stringify(mark)}, process.execPath + '\\n')`);
    const env = { NODE_OPTIONS: `--require ${code} --inspect=127.0.0.1:0` };

    await run(x64, ['version'], { env });
    expect(existsSync(mark)).toBe(false);
    await run(process.execPath, ['--eval', '0'], { env });
    expect(existsSync(mark)).toBe(true);
  });

  it('believes no certificate because of NODE_EXTRA_CA_CERTS', async () => {
    const ca = join(folder, 'cert.pem');
    const env = { NODE_EXTRA_CA_CERTS: ca };

    expect((await enroll(env)).failure.code).toBe('control_plane.untrusted');
    expect(stranger.asked).toEqual([]);
    await enroll(env, '--ca', ca);
    expect(stranger.asked.length).toBeGreaterThan(0);
  });

  it('tells where an error is from by names of functions', async () => {
    const program = readFileSync(x64);

    expect(program.includes('function runDaemon(')).toBe(true);
    expect(program.includes('sourceMappingURL=node-agent')).toBe(false);
  });
});

interface Bill {
  readonly components: readonly {
    readonly name: string;
    readonly version?: string;
    readonly hashes?: readonly unknown[];
    readonly properties?: readonly { readonly value: string }[];
  }[];
}

function fileOf(kind: ReleaseArtifact['kind'], arch = 'any'): ReleaseArtifact {
  const found = release.artifacts.find((each) => each.kind === kind && each.arch === arch);
  if (!found) throw new Error(`the release has no ${kind} for ${arch}`);
  return found;
}

function bytesOf({ name }: ReleaseArtifact): Buffer {
  return readFileSync(join(out, name));
}

/** Packages of which an executable has modules, by the names that bundles give them. */
function packagesIn(program: string): Set<string> {
  const text = readFileSync(program).toString('latin1');
  const modules = text.matchAll(/"node_modules\/((?:@[^/"\s]+\/)?[^/"\s]+)\/[^"\s]*"\(/g);
  return new Set([...modules].map(([, name = '']) => name));
}

async function enroll(env: NodeJS.ProcessEnv, ...options: string[]): Promise<{ failure: { code: string } }> {
  const [token, config] = [join(folder, 'token'), join(folder, 'agent.json')];
  writeFileSync(token, `${'a'.repeat(16)}.${'b'.repeat(43)}.${'c'.repeat(43)}`, { mode: 0o600 });
  const user = { uid: 1001, gid: 1001, home: join(folder, 'home') };
  const state = { state_dir: join(folder, 'state'), run_dir: join(folder, 'run') };
  writeFileSync(config, JSON.stringify({ ...state, allocation: { id: 'a', user } }));
  const args = ['enroll', '--json', '--config', config, '--url', stranger.origin, '--token-file', token, ...options];
  const { stdout } = await run(x64, args, { env }).catch((error) => error as { stdout: string });
  return JSON.parse(stdout);
}
