import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentConfig, configVariables, hostPolicyOf, loadConfig } from '../../../src/agent/config.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { judge } from '../../../src/contract/validate.ts';
import { HostPolicy } from '../../../src/policy/host-policy.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('config');
const user = { uid: 1001, gid: 1002, home: '/home/tenant' };
const least = { allocation: { id: 'alloc-1', user } };

describe('where a value comes from', () => {
  it('is the default, before the file, before the environment, and is said of each value', async () => {
    const file = written({ ...least, node_id: 'from-file', log_level: 'warn', gate: { socket: '/tmp/file.sock' } });
    const env = { GPUAAS_AGENT_NODE_ID: 'from-env', GPUAAS_AGENT_GATE_STATE_DIR: '/tmp/env-state' };

    const { config, sources } = await loadConfig(file, env);

    expect(config).toMatchObject({
      node_id: 'from-env',
      log_level: 'warn',
      run_dir: '/run/gpuaas-node-agent',
      gate: { socket: '/tmp/file.sock', state_dir: '/tmp/env-state', engine_socket: '/var/run/docker.sock' },
    });
    expect(sources).toMatchObject({
      '/node_id': 'env GPUAAS_AGENT_NODE_ID',
      '/log_level': `file ${file}`,
      '/run_dir': 'default',
      '/gate/socket': `file ${file}`,
      '/gate/state_dir': 'env GPUAAS_AGENT_GATE_STATE_DIR',
      '/gate/engine_socket': 'default',
      '/allocation/user/uid': `file ${file}`,
    });
  });

  it('is known for every leaf of the configuration, and for nothing else', async () => {
    const { config, sources } = await loadConfig(written({ ...least, registries: [] }), {
      GPUAAS_AGENT_RESERVES: '{"cpu_cores": 2}',
    });

    expect(Object.keys(sources).sort()).toEqual(leavesOf(config).sort());
  });

  it('is the name of the machine for the node', async () => {
    const { config, sources } = await loadConfig(written(least), {});

    expect(config.node_id).toBe(hostname().replaceAll(/[^a-zA-Z0-9_-]/g, '-'));
    expect(sources['/node_id']).toBe('default');
  });

  it('forgets what a replaced object held', async () => {
    const { config, sources } = await loadConfig(written(least), { GPUAAS_AGENT_ALLOCATION_USER: 'tenant' });

    expect(config.allocation.user).toBe('tenant');
    expect(Object.keys(sources).filter((pointer) => pointer.startsWith('/allocation/user'))).toEqual([
      '/allocation/user',
    ]);
  });

  it('replaces lists as a whole, and merges objects', async () => {
    const registries = [{ host: 'registry.example', prefixes: ['curated'] }];
    const file = written({
      ...least,
      registries: [{ host: 'other.example', prefixes: [''] }],
      reserves: { disk_gib: 9 },
    });

    const { config } = await loadConfig(file, { GPUAAS_AGENT_REGISTRIES: JSON.stringify(registries) });

    expect(config.registries).toEqual(registries);
    expect(config.reserves).toEqual({ cpu_cores: 0, memory_gib: 1, disk_gib: 9 });
  });

  it('does not offer a sandbox beside those that the operator lists', async () => {
    const { config } = await loadConfig(written({ ...least, sandboxes: { gvisor: 'runsc' } }), {});

    expect(config.sandboxes).toEqual({ gvisor: 'runsc' });
    expect((await loadConfig(written(least), {})).config.sandboxes).toEqual({ runc: 'runc' });
  });

  it('may be an object in one variable, with a more exact variable over it', async () => {
    const { config } = await loadConfig(written({}), {
      GPUAAS_AGENT_ALLOCATION: JSON.stringify(least.allocation),
      GPUAAS_AGENT_ALLOCATION_ID: 'alloc-9',
    });

    expect(config.allocation).toEqual({ id: 'alloc-9', user });
  });

  it('reads a text as a text, also where it looks like a number', async () => {
    const env = {
      GPUAAS_AGENT_NODE_ID: '42',
      GPUAAS_AGENT_ALLOCATION_ID: 'true',
      GPUAAS_AGENT_ALLOCATION_USER: '1001',
    };

    const { config } = await loadConfig(written({}), env);

    expect([config.node_id, config.allocation.id, config.allocation.user]).toEqual(['42', 'true', '1001']);
  });

  it('reads a number and a truth value as such', async () => {
    const { config } = await loadConfig(written(least), {
      GPUAAS_AGENT_TASK_LOGS_MAX_TASKS: '7',
      GPUAAS_AGENT_PROJECT_STORAGE: 'true',
    });

    expect([config.task_logs.max_tasks, config.project_storage]).toEqual([7, true]);
  });
});

describe('a variable', () => {
  it('exists for every value, under its path in capitals', () => {
    const names = configVariables().map(({ name }) => name);

    expect(names).toEqual(
      expect.arrayContaining(['GPUAAS_AGENT_STATE_DIR', 'GPUAAS_AGENT_GATE_SOCKET', 'GPUAAS_AGENT_LIMITS_OPEN_FILES']),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  it('that sets nothing is refused by its name, and its value is not repeated', async () => {
    const error = await refusal(loadConfig(written(least), { GPUAAS_AGENT_STATEDIR: 'c4nary' }));

    expect(error.code).toBe('config.invalid');
    expect(error.message).toContain('GPUAAS_AGENT_STATEDIR');
    expect(JSON.stringify(error.toFailure())).not.toContain('c4nary');
  });

  it('of somebody else is no business of ours', async () => {
    await expect(loadConfig(written(least), { GPUAAS_URL: 'x', GPUAAS_SERVER_PORT: '1' })).resolves.toBeDefined();
  });
});

describe('refused with its path and where it came from', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['an unknown key', { ...least, privileged: true }, '/privileged'],
    ['an unknown key inside', { ...least, gate: { sockets: '/x' } }, '/gate/sockets'],
    ['a wrong type', { ...least, project_storage: 'yes' }, '/project_storage'],
    ['a scalar for an object', { ...least, gate: 'socket' }, '/gate'],
    ['a relative folder', { ...least, state_dir: 'state' }, '/state_dir'],
    ['the root folder', { ...least, state_dir: '/' }, '/state_dir'],
    ['a word that is no level', { ...least, log_level: 'trace' }, '/log_level'],
    ['an engine that nobody knows', { ...least, approved_engines: ['lxc'] }, '/approved_engines/0'],
    ['a pool that is too small', { ...least, network_pool: '10.0.0.0/29' }, '/network_pool'],
    ['a registry without prefixes', { ...least, registries: [{ host: 'r', prefixes: [] }] }, '/registries/0/prefixes'],
    ['a null', { ...least, sandboxes: { runc: null } }, '/sandboxes/runc'],
    ['a runtime for gVisor that is another', { ...least, sandboxes: { gvisor: 'nvidia' } }, '/sandboxes/gvisor'],
    ['a list for the whole', { ...least, limits: [] }, '/limits'],
  ])('%s', async (_name, document, path) => {
    const file = written(document);

    const error = await refusal(loadConfig(file, {}));

    expect(error).toMatchObject({ code: 'config.invalid', detail: { file } });
    expect(pathsOf(error)).toEqual([path]);
    expect(error.message).toContain(path);
  });

  it('says that a wrong value is from the environment', async () => {
    const error = await refusal(loadConfig(written(least), { GPUAAS_AGENT_TASK_LOGS_MAX_TASKS: 'many' }));

    expect(error.detail['errors']).toEqual([
      expect.objectContaining({ path: '/task_logs/max_tasks', source: 'env GPUAAS_AGENT_TASK_LOGS_MAX_TASKS' }),
    ]);
  });

  it.each<[string, string, string]>([
    ['GPUAAS_AGENT_TASK_LOGS_MAX_TASKS', 'many', '/task_logs/max_tasks'],
    ['GPUAAS_AGENT_REGISTRIES', '[{"host": 1, "prefixes": [""]}]', '/registries/0/host'],
    ['GPUAAS_AGENT_REGISTRIES', '[{', '/registries'],
    ['GPUAAS_AGENT_ALLOCATION', '{"oops": 1}', '/allocation/oops'],
    ['GPUAAS_AGENT_NETWORK_POOL', '8.8.0.0/16', '/network_pool'],
  ])('names the variable %s that says %s', async (name, value, path) => {
    const error = await refusal(loadConfig(written(least), { [name]: value }));

    expect(error.message).toContain(`${path} `);
    expect(error.message).toContain(`(set by ${name})`);
  });

  it.each([
    '8.8.0.0/16',
    '192.168.0.0/12',
    '172.32.0.0/16',
    '10.300.0.0/16',
    '100.64.0.0/16',
    '10.1.2.3/16',
    '0.0.0.0/12',
  ])('refuses %s as network pool', async (network_pool) => {
    expect(pathsOf(await refusal(loadConfig(written({ ...least, network_pool }), {})))).toEqual(['/network_pool']);
  });

  it.each(['10.0.0.0/12', '172.16.0.0/12', '172.31.255.240/28', '192.168.0.0/16', '10.255.255.0/24'])(
    'takes %s as network pool',
    async (network_pool) => {
      expect((await loadConfig(written({ ...least, network_pool }), {})).config.network_pool).toBe(network_pool);
    },
  );

  it('reports everything that is wrong at once', async () => {
    const error = await refusal(loadConfig(written({ log_level: 'loud', surprise: 1 }), {}));

    expect(pathsOf(error)).toEqual(expect.arrayContaining(['/allocation', '/log_level', '/surprise']));
  });

  it('wants an allocation: there is no default for whom the host serves', async () => {
    expect(pathsOf(await refusal(loadConfig(written({}), {})))).toEqual(['/allocation']);
  });

  it('refuses the key __proto__', async () => {
    const file = join(folder, 'proto.json');
    writeFileSync(file, `{"__proto__": {"project_storage": true}, "allocation": ${JSON.stringify(least.allocation)}}`);

    expect((await refusal(loadConfig(file, {}))).message).toContain('has the key __proto__');
    expect(({} as Record<string, unknown>)['project_storage']).toBeUndefined();
  });

  it('never a valid file, whatever valid file it is', async () => {
    const files = fc.record(
      {
        node_id: fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
        log_level: fc.constantFrom('debug', 'info', 'warn', 'error'),
        project_storage: fc.boolean(),
        reserves: fc.record({ cpu_cores: fc.nat(64), disk_gib: fc.nat(100) }, { requiredKeys: [] }),
        task_logs: fc.record({ max_tasks: fc.integer({ min: 1, max: 1000 }) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );

    await fc.assert(
      fc.asyncProperty(files, async (chosen) => {
        const { config } = await loadConfig(written({ ...least, ...chosen }), {});

        expect(config).toMatchObject(chosen);
        expect(judge(AgentConfig, config).ok).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});

describe('the file', () => {
  it('that was named and is not there is an error', async () => {
    const missing = join(folder, 'missing.json');

    expect(await refusal(loadConfig(missing, {}))).toMatchObject({ code: 'config.invalid', detail: { file: missing } });
    expect(await refusal(loadConfig(undefined, { GPUAAS_AGENT_CONFIG: missing }))).toMatchObject({
      message: expect.stringContaining(`${missing} cannot be read: ENOENT`),
    });
  });

  it('named by the command goes before the one named by the environment', async () => {
    const named = written({ ...least, node_id: 'named' });

    const { config } = await loadConfig(named, { GPUAAS_AGENT_CONFIG: join(folder, 'missing.json') });

    expect(config.node_id).toBe('named');
  });

  it.each([
    ['not JSON', '{"allocation": ', 'is not JSON'],
    ['empty', '', 'is not JSON'],
    ['a list', '[]', 'must hold one JSON object'],
    ['null', 'null', 'must hold one JSON object'],
    ['a key given twice', '{"registries": [], "registries": [{}]}', 'gives the key "registries" twice'],
    ['larger than any configuration', ' '.repeat(2 ** 20 + 1), 'is larger than 1048576 bytes'],
  ])('that is %s is refused with its name', async (_name, text, complaint) => {
    const file = join(folder, 'broken.json');
    writeFileSync(file, text);

    const error = await refusal(loadConfig(file, {}));

    expect(error).toMatchObject({ code: 'config.invalid', detail: { file } });
    expect(error.message).toContain(`${file} ${complaint}`);
  });

  it('that is a folder is refused', async () => {
    expect((await refusal(loadConfig(folder, {}))).message).toContain('cannot be read: EISDIR');
  });
});

describe('the host policy', () => {
  it('holds what the operator allows, and of the agent nothing else', async () => {
    const loaded = await loadConfig(written({ ...least, node_id: 'n1', local_images: [] }), {});

    const policy = await hostPolicyOf(loaded);

    expect(policy).toMatchObject({
      node_id: 'n1',
      allocation: { id: 'alloc-1', ...user },
      sandboxes: { runc: 'runc' },
    });
    expect(Object.keys(policy)).not.toContain('state_dir');
  });

  it('has each of its values out of the configuration', async () => {
    const optional = {
      builds: { cpu_cores: 1, memory_gib: 1, context_gib: 1 },
      caches: { max_age_hours: 5 },
      egress: { allow: ['10.9.0.0/24'] },
      payloads: { max_gib: 3, unpacked_gib: 4 },
      ...{ gvisor_cards: true, service_idle_seconds: 7 },
    };
    const policy = await hostPolicyOf(await loadConfig(written({ ...least, ...optional }), {}));

    expect(policy).toMatchObject(optional);
    expect(Object.keys(policy).sort()).toEqual(Object.keys(HostPolicy.properties).sort());
  });

  it('looks the user up by name', async () => {
    const loaded = await loadConfig(written({ allocation: { id: 'alloc-1', user: 'nobody' } }), {});

    expect((await hostPolicyOf(loaded)).allocation.uid).toBe(65534);
  });

  it('is refused for a user that does not exist', async () => {
    const file = written({ allocation: { id: 'alloc-1', user: 'no-such-user-here' } });

    const error = await refusal(hostPolicyOf(await loadConfig(file, {})));

    expect(error.detail['errors']).toEqual([
      {
        ...{ path: '/allocation/user', code: 'unknown_user', source: `file ${file}` },
        message: '"no-such-user-here" is not a user of this host',
      },
    ]);
  });

  it('is refused for root, by name and by number', async () => {
    const byName = await loadConfig(written({ allocation: { id: 'alloc-1', user: 'root' } }), {});
    const byNumber = written({ allocation: { id: 'alloc-1', user: { ...user, uid: 0 } } });

    expect((await refusal(hostPolicyOf(byName))).message).toContain('/allocation/user must not be root');
    expect((await refusal(loadConfig(byNumber, {}))).detail['errors']).toEqual([
      { path: '/allocation/user/uid', code: 'root', message: 'must not be root (0)', source: `file ${byNumber}` },
    ]);
  });

  it.each<[string, unknown, string[]]>([
    ['a number', 7, ['/allocation/user']],
    ['an object with too little', { uid: 1001 }, ['/allocation/user/gid', '/allocation/user/home']],
    ['an object with too much', { ...user, shell: '/bin/sh' }, ['/allocation/user/shell']],
    ['an empty name', '', ['/allocation/user']],
  ])('complains once about a user that is %s', async (_name, wrong, paths) => {
    const error = await refusal(loadConfig(written({ allocation: { id: 'alloc-1', user: wrong } }), {}));

    expect(pathsOf(error)).toEqual(paths);
    expect(error.message).not.toContain('anyOf');
  });
});

let count = 0;

function written(document: unknown): string {
  count += 1;
  const file = join(folder, `agent-${count}.json`);
  writeFileSync(file, JSON.stringify(document));
  return file;
}

async function refusal(promise: Promise<unknown>): Promise<AgentError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AgentError)) {
    throw new Error('it was not refused', { cause: error });
  }
  return error;
}

function pathsOf({ detail }: AgentError): string[] {
  return (detail['errors'] as unknown as { path: string }[]).map(({ path }) => path);
}

function leavesOf(value: unknown, base = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [base];
  }
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, `${base}/${key}`));
}
