/** What the commands answer, for all that needs no engine; and that the program in `bin` is made of them. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main.ts';
import { taskTypes } from '../../../src/contract/tasks.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = resolve(import.meta.dirname, '../../..');
const folder = temporaryFolder('cli');
const config = writeConfig('agent.json', {});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

interface Trouble {
  readonly config?: Record<string, unknown>;
  readonly env?: Readonly<Record<string, string>>;
}

describe('node-agent', () => {
  it('prints its version and the contracts it speaks', async () => {
    const { code, json } = await nodeAgent('version', '--json');

    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(code).toBe(0);
    expect(json).toEqual({
      ...{ version, commit: null, node: process.versions.node, arch: process.arch, single_file: false },
      ...{ protocol: 1, journal: 3, config: 1 },
      tasks: Object.fromEntries(taskTypes.map((type) => [type, 1])),
    });
  });

  it('tries itself, with a configuration of this host, and leaves nothing behind', async () => {
    const temporary = mkdtempSync(join(folder, 'self-test-'));
    vi.stubEnv('TMPDIR', temporary);

    const { code, json } = await nodeAgent('self-test', '--json', '--config', config);

    expect(code).toBe(0);
    expect(json).toMatchObject({ ok: true });
    expect(checksOf(json).map(({ name }) => name)).toEqual([
      ...['program', 'crypto', 'compression', 'journal', 'schemas', 'config'],
    ]);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it.each([
    ['a configuration of which it does not know a key', 'config', { config: { telepathy: true } }, '/telepathy'],
    ['a host on which it cannot write', 'journal', { env: { TMPDIR: '/proc/none' } }, 'ENOENT'],
  ])(
    'fails its self-test for %s, and tries the rest',
    async (_what, name, { config: keys, env = {} }: Trouble, reason) => {
      for (const [variable, value] of Object.entries(env)) vi.stubEnv(variable, value);

      const file = writeConfig('self-test.json', keys ?? {});
      const { code, json } = await nodeAgent('self-test', '--json', '--config', file);

      expect(code).toBe(1);
      expect(checksOf(json)).toHaveLength(6);
      expect(checksOf(json).filter(({ ok }) => !ok)).toEqual([
        expect.objectContaining({ name, message: expect.stringContaining(reason) }),
      ]);
    },
  );

  it('prints the JSON Schema of a task type', async () => {
    const { code, json, stderr } = await nodeAgent('schema', 'workload.oci_launch', '--json');

    expect([code, stderr]).toEqual([0, '']);
    expect(json).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      title: 'workload.oci_launch',
      type: 'object',
      additionalProperties: false,
      properties: { sandbox: { enum: ['runc', 'gvisor'] }, image: { oneOf: [expect.anything(), expect.anything()] } },
    });
  });

  it.each(['nope', 'constructor'])('refuses to print the schema of %s, and says what there is', async (type) => {
    const { code, stdout, stderr } = await nodeAgent('schema', type);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('workload.oci_launch');
    expect(stderr).toContain('[command.invalid]');
  });

  it('explains itself and its exit status', async () => {
    const { code, stdout } = await nodeAgent('--help');

    expect(code).toBe(0);
    for (const command of ['run-task', 'schema', 'doctor', 'config', 'gate', 'version', '75 another node-agent']) {
      expect(stdout).toContain(command);
    }
  });

  it.each([
    ['an unknown command', ['frobnicate']],
    ['a wait that is no number', ['run-task', 'x.json', '--wait', 'long']],
  ])('ends with 2 for %s', async (_name, args) => {
    const { code, stdout, stderr } = await nodeAgent(...args);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('error: ');
  });

  it('prints the effective configuration with where each value is from', async () => {
    const file = writeConfig('sources.json', { log_level: 'warn' });

    const { code, json } = await nodeAgent('config', '--json', '--create-key', '--config', file, {
      GPUAAS_AGENT_NODE_ID: 'node-42',
    });
    const { stdout: text } = await nodeAgent('config', '--config', file);

    expect(code).toBe(0);
    expect(json).toMatchObject({
      config: { node_id: 'node-42', log_level: 'warn' },
      sources: { '/node_id': 'env GPUAAS_AGENT_NODE_ID', '/log_level': `file ${file}`, '/run_dir': `file ${file}` },
      policy: { allocation: { uid: 1001 } },
      wrapping_key: { kty: 'OKP', crv: 'X25519' },
    });
    expect((json as { wrapping_key: object }).wrapping_key).not.toHaveProperty('d');
    expect(text).toMatch(/^\/log_level +"warn" +file .+ GPUAAS_AGENT_LOG_LEVEL$/m);
  });

  it('says at which path a configuration is wrong', async () => {
    const file = writeConfig('wrong.json', { log_level: 'loud', surprise: true });

    const { code, stdout, stderr } = await nodeAgent('config', '--config', file);
    const { code: jsonCode, json } = await nodeAgent('config', '--json', '--config', file);

    expect([code, stdout, jsonCode]).toEqual([2, '', 2]);
    expect(stderr).toContain('[config.invalid]');
    expect(stderr).toContain('  /surprise: is not a known key');
    expect(stderr).toContain('  /log_level: must be one of');
    expect(json).toMatchObject({ failure: { code: 'config.invalid', detail: { file } } });
  });
});

describe('node-agent run-task', () => {
  const large = fileWith('large.json', `{"type": "${'x'.repeat(2 ** 20)}"}`);

  it.each([
    ['is not there', join(folder, 'missing.json'), 'cannot be read: ENOENT'],
    ['is not JSON', fileWith('broken.json', '{"type": '), 'is not JSON'],
    ['is too large', large, 'is larger than 1048576 bytes'],
    ['never ends', '/dev/zero', 'is larger than 1048576 bytes'],
  ])('ends with 2 and nothing done for a file that %s', async (_name, file, complaint) => {
    const { code, stdout, stderr } = await nodeAgent('run-task', file, '--config', config);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`${file} ${complaint}`);
    expect(stderr).toContain('[file.unusable]');
  });

  it.each<[string, unknown, string]>([
    ['a key it does not know', { type: 'workload.oci_remove', params: {}, privileged: true }, '/privileged'],
    [
      'an instance that climbs',
      { type: 'workload.oci_remove', params: { identity: { app_instance_id: '../x' } } },
      '/params/identity/app_instance_id',
    ],
    ['no type', { params: {} }, '/type'],
    ['no params', { type: 'workload.oci_launch' }, '/params'],
  ])('rejects %s with 3, as the last line of stdout', async (_name, document, path) => {
    const file = fileWith(`task-${crypto.randomUUID()}.json`, JSON.stringify(document));

    const { code, json, stderr } = await nodeAgent('run-task', file, '--config', config, '--wait', '60');

    expect(code).toBe(3);
    const { failure } = json as { failure: { detail: { errors: { path: string }[] } } };
    expect(json).toMatchObject({ status: 'rejected', output: null, failure: { code: 'task.invalid' } });
    expect(failure.detail.errors.map((error) => error.path)).toContain(path);
    expect(stderr).toContain('rejected: ');
  });

  it('wants its configuration before it looks at the task', async () => {
    const { code, stderr } = await nodeAgent(
      'run-task',
      join(folder, 'missing.json'),
      '--config',
      join(folder, 'none.json'),
    );

    expect(code).toBe(2);
    expect(stderr).toContain('[config.invalid]');
  });
});

it('starts from anywhere through its link in bin, as a process with an exit status', async () => {
  const known = await started('version');
  const unknown = await started('frobnicate');

  expect(known).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^node-agent \d+\.\d+\.\d+ /) });
  expect(unknown).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('error: ') });
});

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Last line of stdout, where it is JSON. */
  readonly json: unknown;
}

/** Carries out a command line in this process; a record among the words is of environment variables. */
async function nodeAgent(...args: (string | Record<string, string>)[]): Promise<Answer> {
  const words = args.filter((arg) => typeof arg === 'string');
  const env = Object.assign({}, ...args.filter((arg) => typeof arg !== 'string'));
  for (const name of Object.keys(process.env).filter((name) => name.startsWith('GPUAAS_'))) vi.stubEnv(name, undefined);
  for (const [name, value] of Object.entries<string>(env)) vi.stubEnv(name, value);
  const stdout = heard(process.stdout);
  const stderr = heard(process.stderr);
  const code = await main(words);
  vi.restoreAllMocks();
  return { code, stdout: stdout(), stderr: stderr(), json: jsonIn(stdout()) };
}

const checksOf = (json: unknown) => (json as { checks: { name: string; ok: boolean }[] }).checks;

function heard(stream: NodeJS.WriteStream): () => string {
  let text = '';
  vi.spyOn(stream, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  return () => text;
}

async function started(...args: string[]): Promise<Omit<Answer, 'json'>> {
  const { promise, resolve: answer } = Promise.withResolvers<Omit<Answer, 'json'>>();
  const options = { cwd: '/', timeout: 50_000, killSignal: 'SIGKILL' as const };
  const child = execFile(join(root, 'src/cli/bin/node-agent'), args, options, (_error, stdout, stderr) => {
    answer({ code: child.exitCode ?? -1, stdout, stderr });
  });
  return await promise;
}

function jsonIn(stdout: string): unknown {
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return /^[[{]/.test(last) ? JSON.parse(last) : undefined;
}

/** A configuration whose every folder is in the test's own. */
function writeConfig(name: string, over: Record<string, unknown>): string {
  return fileWith(
    name,
    JSON.stringify({
      allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1002, home: join(folder, 'home') } },
      state_dir: join(folder, 'state'),
      run_dir: join(folder, 'run'),
      secrets_dir: join(folder, 'secrets'),
      gate: {
        socket: join(folder, 'gate.sock'),
        state_dir: join(folder, 'gate-state'),
        engine_socket: join(folder, 'no-engine-here.sock'),
      },
      ...over,
    }),
  );
}

function fileWith(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}
