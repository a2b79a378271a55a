/** The commands in this very process: what they say when something is wrong, and what they leave alone. */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { defaultConfigFile } from '../../../src/agent/config.ts';
import { lockState } from '../../../src/agent/journal/state-lock.ts';
import { main } from '../../../src/cli/main.ts';
import type { FailureCode } from '../../../src/contract/failures.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('commands');
const removal = resolve(import.meta.dirname, '../../../fixtures/tasks/workload-oci-remove.json');
const config = writeConfig('agent.json');
const wrong = fileWith('wrong.json', '{"allocation": {"id": "a", "user": {"uid": 0, "gid": 1, "home": "/h"}}}');
const homeless = writeConfig('homeless.json', join(config, 'below-a-file'));
const absent = join(folder, 'absent.json');

let stdout: string;
let stderr: string;

beforeEach(() => {
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('a command that cannot do its work', () => {
  const task = (text: string) => ['run-task', fileWith(`${crypto.randomUUID()}.json`, text), '--config', config];

  it.each<[string, string[], FailureCode]>([
    ['a command that nobody knows', ['frobnicate'], 'command.invalid'],
    ['an option that nobody knows', ['doctor', '--loud'], 'command.invalid'],
    ['an argument too many', ['version', 'now'], 'command.invalid'],
    ['a file too few', ['run-task'], 'command.invalid'],
    ['an enrolment without a token', ['enroll', '--url', 'http://127.0.0.1:1'], 'enrolment.token_unreadable'],
    ...[absent, folder].map((token): [string, string[], FailureCode] => [
      `an enrolment with ${token} as its token`,
      ['enroll', '--url', 'http://127.0.0.1:1', '--config', config, '--token-file', token],
      'enrolment.token_unreadable',
    ]),
    ['a wait that is no number', ['run-task', removal, '--wait', 'long'], 'command.invalid'],
    ['a wait that is empty', ['run-task', removal, '--wait', ''], 'command.invalid'],
    ['a schema that nobody knows', ['schema', 'nope'], 'command.invalid'],
    ['the output of what has none', ['schema', 'config', '--output'], 'command.invalid'],
    ['the output of nothing', ['schema', '--output'], 'command.invalid'],
    ...['doctor', 'config', 'gate', 'run-task'].flatMap((command): [string, string[], FailureCode][] => {
      const words = command === 'run-task' ? [command, removal] : [command];
      return [
        [`${command} with a configuration that is wrong`, [...words, '--config', wrong], 'config.invalid'],
        [`${command} with a configuration that is not there`, [...words, '--config', absent], 'config.invalid'],
      ];
    }),
    ['a task that is not there', ['run-task', absent, '--config', config], 'file.unusable'],
    ['a task that is no JSON', task('{"type": '), 'file.unusable'],
    ['a task with a key given twice', task('{"type": "a", "type": "b", "params": {}}'), 'file.unusable'],
    ...[
      '[]',
      '{}',
      '{"token": "t"}',
      '{"username": "u"}',
      '{"password": "p"}',
      '{"bearer": "b", "username": "u", "password": "p"}',
    ].map((text): [string, string[], FailureCode] => [
      `a credential that is none, ${text}`,
      [
        ...['run-task', removal, '--config', config],
        ...['--pull-credential', fileWith(`${crypto.randomUUID()}.json`, text)],
      ],
      'file.unusable',
    ]),
    ['a task where the state cannot be', ['run-task', removal, '--config', homeless], 'config.invalid'],
    ['a key where the state cannot be', ['config', '--create-key', '--config', homeless], 'config.invalid'],
    ['a gate where its state cannot be', ['gate', '--config', homeless], 'config.invalid'],
  ])('for %s says so once, with 2, as text or as JSON', async (_name, args, code) => {
    const text = await run(...args);
    const json = await run(...args, '--json');

    expect([text.status, text.stdout, json.status, json.stderr]).toEqual([2, '', 2, '']);
    expect(text.stderr).toMatch(/^error: /);
    expect(JSON.parse(json.stdout)).toMatchObject({ failure: { code, kind: 'invalid' } });
  });

  it('says how to go on without a join token, and warns of one that others could read', async () => {
    const enroll = ['enroll', '--url', 'http://127.0.0.1:1', '--config', config, '--token-file'];
    const token = fileWith('token', 'not a token');

    const missing = await run(...enroll, absent);
    chmodSync(token, 0o644);
    const open = await run(...enroll, token);
    chmodSync(token, 0o600);
    const closed = await run(...enroll, token);

    expect(missing.stderr).toContain(`There is no file ${absent}. [enrolment.token_unreadable]`);
    expect(missing.stderr).toContain('gpuaas nodes join-token ALLOCATION');
    expect(open.stderr).toMatch(/^warning: Others on this host can read .*chmod 600/);
    expect(closed.stderr).toMatch(/^error: The join token is not one/);
  });

  it('names what is wrong with a task file, and never quotes a credential', async () => {
    const twice = await run(...task('{"type": "a", "type": "b"}'));
    const broken = fileWith('credential.json', '{"bearer": c4nary}');
    const credential = await run('run-task', removal, '--config', config, '--pull-credential', broken);

    expect(twice.stderr).toContain('gives the key "type" twice');
    expect(credential.stderr).toContain(`${broken} is not JSON.`);
    expect(credential.stderr).not.toContain('c4nary');
  });

  it('shows each error of a task once, and nothing but JSON where JSON was asked for', async () => {
    const args = task('{"type": "workload.oci_remove", "params": {"privileged": true}}');

    const text = await run(...args);
    const json = await run(...args, '--json');

    expect([text.status, json.status, json.stderr]).toEqual([3, 3, '']);
    expect(text.stderr.match(/privileged/g)).toHaveLength(1);
    expect(text.stderr).toMatch(/^rejected: The task does not match its schema\. \[task\.invalid\]$/m);
    expect(JSON.parse(json.stdout)).toMatchObject({ status: 'rejected', failure: { code: 'task.invalid' } });
  });

  it('names the variable that says what is wrong, and root by its name', async () => {
    vi.stubEnv('GPUAAS_AGENT_LIMITS_PIDS', '1');

    const { stderr: told } = await run('config', '--config', wrong);

    expect(told.split('\n').slice(1, 3)).toEqual([
      '  /limits/pids: must be >= 16 (set by GPUAAS_AGENT_LIMITS_PIDS)',
      '  /allocation/user/uid: must not be root (0)',
    ]);
  });
});

describe.skipIf(existsSync(defaultConfigFile))('on a host that nobody has configured', () => {
  it.each([['doctor'], ['config'], ['gate'], ['run-task', removal]])('%s says where to write what', async (...args) => {
    const { status, stderr: told } = await run(...args);

    expect(status).toBe(2);
    expect(told).toContain('There is no file /etc/gpuaas-node-agent/agent.json. [config.missing]');
    expect(told).toContain('  smallest: {"allocation":{"id":"alloc-1","user":"tenant"},"registries":[');
    expect(told).toContain('docs/operators.md');
    expect(told).not.toContain('is missing');
  });
});

describe('a command that only looks', () => {
  it.each([['doctor', '--json'], ['config', '--json'], ['config']])(
    '%s %s leaves the host as it is',
    async (...args) => {
      const host = join(folder, `host-${crypto.randomUUID()}`);
      mkdirSync(join(host, 'home'), { recursive: true });
      const file = writeConfig('look-agent.json', host);
      const before = treeOf(host);

      await run(...args, '--config', file);

      expect(treeOf(host)).toEqual(before);
    },
  );

  it('config says how to get a wrapping key, and makes one when told to', async () => {
    const file = writeConfig('key-agent.json', join(folder, 'key-host'));

    const without = await run('config', '--config', file);
    const none = await run('config', '--json', '--config', file);
    const made = await run('config', '--json', '--create-key', '--config', file);
    const after = await run('config', '--json', '--config', file);

    expect(without.stdout).toContain('none yet; `node-agent config --create-key` makes it');
    expect(JSON.parse(none.stdout).wrapping_key).toBeNull();
    expect(JSON.parse(made.stdout).wrapping_key).toMatchObject({ crv: 'X25519' });
    expect(JSON.parse(after.stdout).wrapping_key).toEqual(JSON.parse(made.stdout).wrapping_key);
  });
});

describe('while another process holds the state', () => {
  it('a task that changes the host waits, as text or as JSON', async () => {
    await whileHeld(async (file) => {
      const text = await run('run-task', removal, '--config', file, '--wait', '0.1');
      const json = await run('run-task', removal, '--config', file, '--wait', '0.1', '--json');

      expect([text.status, json.status]).toEqual([75, 75]);
      expect(text.stderr).toContain(`waiting for node-agent run (pid ${process.pid}), 0.1 s at most`);
      expect(JSON.parse(json.stderr)).toMatchObject({ type: 'run.waiting', phase: null });
      expect(JSON.parse(json.stdout)).toMatchObject({ failure: { code: 'agent.busy' } });
    });
  });

  it.each([
    ['is of a type that nobody knows', fileWith('nobody.json', '{"type": "a.b", "params": {}}'), 'task.unsupported'],
    ['has wrong params', fileWith('params.json', '{"type": "workload.oci_remove", "params": {}}'), 'task.invalid'],
    [
      'is no whole envelope',
      fileWith('envelope.json', '{"task_id": "x", "type": "workload.oci_remove"}'),
      'task.invalid',
    ],
  ])('a task that %s does not', async (_name, task, code) => {
    await whileHeld(async (file) => {
      const { stdout: answer } = await run('run-task', task, '--config', file, '--wait', '0', '--json');

      expect(JSON.parse(answer)).toMatchObject({ failure: { code } });
    });
  });

  async function whileHeld(look: (file: string) => Promise<void>): Promise<void> {
    const host = join(folder, `held-${crypto.randomUUID()}`);
    const lock = await lockState(join(host, 'state'), { owner: 'node-agent run', waitMs: 0 });
    try {
      await look(writeConfig('held.json', host));
    } finally {
      lock.release();
    }
  }
});

interface Answer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: string[]): Promise<Answer> {
  stdout = '';
  stderr = '';
  const status = await main(args);
  return { status, stdout, stderr };
}

function writeConfig(name: string, host = folder): string {
  const document = {
    allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1002, home: join(host, 'home') } },
    state_dir: join(host, 'state'),
    run_dir: join(host, 'run'),
    secrets_dir: join(host, 'secrets'),
    gate: {
      socket: join(host, 'gate.sock'),
      state_dir: join(host, 'gate-state'),
      engine_socket: join(host, 'no-engine-here.sock'),
    },
  };
  return fileWith(name, JSON.stringify(document));
}

function fileWith(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** Everything below a folder, with the time of its last change. */
function treeOf(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .concat('.')
    .map((name) => `${name} ${lstatSync(join(root, name)).mtimeMs}`)
    .sort();
}
