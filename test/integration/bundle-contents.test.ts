/** The bundle that `npm run build` writes: complete in one file, and light where it is meant to be. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildAgent, bundle } from '../../bootstrap/dev/build.ts';
import { agentVersion } from '../../src/cli/agent-version.ts';
import type { HostInputs } from '../../src/jobs/inputs/host-inputs.ts';
import { createLog } from '../../src/kit/log.ts';
import { leftOutOfDockerode } from '../../src/runtime/docker/load-dockerode.ts';
import { hubServer } from '../support/hub-server.ts';
import { contentOf } from '../support/loopback-source.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('bundle');
let program: string;

beforeAll(async () => {
  program = await buildAgent(folder);
});

const modulesOf = () => (JSON.parse(readFileSync(`${program}.map`, 'utf8')) as { sources: string[] }).sources;

describe('the bundle of the agent', () => {
  it('runs where there is no node_modules, and says its version', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, 'version', '--json'], { cwd: tmpdir() });

    expect(JSON.parse(stdout)).toMatchObject({ version: agentVersion, protocol: 1 });
  });

  it('has its source map beside it, in terms of the sources', () => {
    expect(modulesOf().some((source) => source.endsWith('src/agent/daemon.ts'))).toBe(true);
  });

  it('leaves out what dockerode drags along, and nothing of the agent', () => {
    const packages = new Set(
      modulesOf().flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []),
    );

    expect([...packages]).toContain('dockerode');
    expect([...leftOutOfDockerode, 'ssh2', 'fastify'].filter((name) => packages.has(name))).toEqual([]);
  });

  it('fetches from a Hugging Face hub without what uploads to one', async () => {
    const { text, sources } = await bundle('src/jobs/inputs/host-inputs.ts');
    const file = join(folder, 'inputs.mjs');
    writeFileSync(file, text);
    const { HostInputs: Bundled } = (await import(file)) as { HostInputs: typeof HostInputs };
    const content = contentOf('weights');
    const model = { repo: 'acme/tiny', commit: 'c'.repeat(40), large: { 'model.bin': content }, small: { a: 'b' } };
    const { origin } = await hubServer([model]);
    const inputs = new Bundled({
      log: createLog({ level: 'silent' }),
      policy: {
        inputs: {
          ...{ dir: join(folder, 'inputs'), max_gib: 1, max_age_hours: 1, allow: ['127.0.0.0/8'] },
          endpoints: { huggingface: origin },
        },
        reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
        network_pool: '10.213.0.0/20',
      },
    });

    const provided = await inputs.provide(
      'job-1',
      {
        ...{ id: 'data', volume: 'models', cache_seconds: 0 },
        source: { kind: 'huggingface', repo: 'acme/tiny', revision: 'main', files: [] },
      },
      { signal: new AbortController().signal, onProgress: () => undefined },
    );
    inputs.close();

    expect(provided).toMatchObject({ files: 2, bytes: 8 });
    expect(sources.filter((source) => /node_modules.*(xetchunk|blake3|gearhash)/.test(source))).toEqual([]);
  });

  it('asks for nothing that Node does not have itself: it would take it from NODE_PATH, or from a home', async () => {
    const { text } = await bundle('src/cli/node-agent.ts');
    // Ajv has some in texts that it never runs.
    const asked = [...text.matchAll(/(?<!['"`])\b_*require\d*\("([^"]+)"\)/g)].map(([, name = '']) => name);

    expect(asked).toContain('node:fs');
    expect(asked.filter((name) => !isBuiltin(name))).toEqual([]);
  });

  it('is ASCII: Node keeps its text, with two bytes a character for the sake of a single one beyond', () => {
    expect([...readFileSync(program)].filter((byte) => byte > 127)).toEqual([]);
  });

  it('imports no module of Node but the one that gives it `require`', () => {
    const imports = readFileSync(program, 'utf8').matchAll(/^import ?\{?[^;]*? ?from ?["']([^"']+)["']/gm);

    expect([...imports].map(([, name]) => name)).toEqual(['node:module']);
  });
});
