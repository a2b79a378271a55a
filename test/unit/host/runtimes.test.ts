import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { judge } from '../../../src/contract/validate.ts';
import { RuntimeProbe } from '../../../src/contract/workload-oci-runtime-status.ts';
import { probeRuntimes, type RuntimeSources } from '../../../src/host/runtimes.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

const away = (state: string) => () =>
  Promise.reject(new AgentError('engine.unavailable', { state, reason: `Because ${state}.` }));

it('reports docker, podman and nerdctl in this order and where it looked for them (G-156, G-190)', async () => {
  const folder = testFolder();

  const probes = await probe({ path: `${folder}:/does/not/exist`, askEngine: away('not_running') });

  expect(probes.map(({ name, state }) => [name, state])).toEqual([
    ['docker', 'not_installed'],
    ['podman', 'not_installed'],
    ['nerdctl', 'not_installed'],
  ]);
  for (const one of probes) {
    expect(one).toMatchObject({ found: null, version: null, searched: [folder, '/does/not/exist'] });
    expect(one.reason).toContain('2 searched folders');
    expect(judge(RuntimeProbe, one)).toEqual({ ok: true, value: one });
  }
});

it('says which of them host policy approves (G-161)', async () => {
  const probes = await probe({ approved: ['docker', 'nerdctl'] });

  expect(probes.map(({ approved }) => approved)).toEqual([true, false, true]);
});

it('finds docker ready when the engine answers, client or not', async () => {
  const [docker] = await probe({ askEngine: () => Promise.resolve({ version: '20.10.24' }) });

  expect(docker).toMatchObject({ state: 'ready', found: null, version: '20.10.24', reason: null });
});

it('tells docker not running, not permitted and hanging apart (G-191)', async () => {
  const folder = testFolder();
  const docker = standIn(folder, 'docker', 'exit 0');
  standIn(folder, 'dockerd', 'exit 0');
  const denied = Object.assign(new Error('connect EACCES'), { code: 'EACCES' });
  const failures = {
    stopped: away('not_running'),
    denied: away('no_permission'),
    gateDenied: () => Promise.reject(new AgentError('engine.unavailable', {}, { cause: denied })),
    hanging: () => Promise.reject(new AgentError('engine.timed_out')),
  };

  const states: Record<string, unknown> = {};
  for (const [name, askEngine] of Object.entries(failures)) {
    states[name] = (await probe({ path: folder, askEngine }))[0];
  }

  expect(states).toMatchObject({
    stopped: {
      state: 'not_running',
      found: docker,
      version: null,
      reason: expect.stringContaining('Because not_running.'),
    },
    denied: { state: 'no_permission', reason: expect.stringContaining('Because no_permission.') },
    gateDenied: { state: 'no_permission' },
    hanging: { state: 'not_running', reason: expect.stringContaining('did not answer in time') },
  });
});

it('says that another engine answers in the place of docker, also where docker is not installed', async () => {
  const askEngine = () => Promise.reject(new AgentError('engine.unsupported', { reason: 'It is podman 5.4.2.' }));

  const [docker] = await probe({ askEngine });

  const reason = expect.stringContaining('It is podman 5.4.2.');
  expect(docker).toMatchObject({ state: 'not_running', found: null, version: null, reason });
});

it('says when only the client of docker is installed', async () => {
  const folder = testFolder();
  standIn(folder, 'docker', 'exit 0');

  const [docker] = await probe({ path: folder, askEngine: away('not_running') });

  expect(docker?.reason).toContain('Only the client is installed');
});

it('does not hide a mistake in the program behind a state', async () => {
  await expect(probe({ askEngine: () => Promise.reject(new TypeError('a bug')) })).rejects.toThrow('a bug');
});

it('finds podman and nerdctl ready when their services listen', async () => {
  const folder = testFolder();
  const podman = standIn(folder, 'podman', 'echo "podman version 4.3.1"');
  standIn(folder, 'nerdctl', 'echo "nerdctl version 1.7.6"');
  const sockets = {
    podman: ['/does/not/exist', await listen(folder, 'p.sock')],
    nerdctl: [await listen(folder, 'n.sock')],
  };

  const [, one, two] = await probe({ path: folder, sockets });

  expect(one).toMatchObject({ state: 'ready', found: podman, version: '4.3.1', reason: null });
  expect(two).toMatchObject({ state: 'ready', version: '1.7.6', reason: null });
});

it('finds podman not running without a service, and names the socket', async () => {
  const folder = testFolder();
  standIn(folder, 'podman', 'echo "podman version 5.0.0-dev"');
  writeFileSync(join(folder, 'left-behind.sock'), '');

  const [, absent] = await probe({ path: folder, sockets: { podman: ['/does/not/exist'], nerdctl: [] } });
  const [, abandoned] = await probe({
    path: folder,
    sockets: { podman: [join(folder, 'left-behind.sock')], nerdctl: [] },
  });

  expect(absent).toMatchObject({ state: 'not_running', version: '5.0.0-dev' });
  expect(absent?.reason).toContain('/does/not/exist');
  expect(abandoned).toMatchObject({ state: 'not_running', reason: expect.stringContaining('Nobody listens') });
});

it('runs podman and nerdctl with nothing but --version (G-156)', async () => {
  const folder = testFolder();
  const spy = (name: string) =>
    standIn(folder, name, `echo "$@" >> ${folder}/${name}.args; echo "${name} version 1.0.0"`);
  spy('podman');
  spy('nerdctl');
  const docker = standIn(folder, 'docker', `touch ${folder}/docker.run`);

  const [first] = await probe({ path: folder });

  expect(readFileSync(join(folder, 'podman.args'), 'utf8')).toBe('--version\n');
  expect(readFileSync(join(folder, 'nerdctl.args'), 'utf8')).toBe('--version\n');
  expect(first?.found).toBe(docker);
  expect(existsSync(join(folder, 'docker.run'))).toBe(false);
});

it('gives what it runs a folder of its own for everything it may write, and takes it away (G-156)', async () => {
  const folder = testFolder();
  const script = `
    echo "$HOME $XDG_RUNTIME_DIR $TMPDIR" > ${folder}/seen
    mkdir "$XDG_RUNTIME_DIR/libpod" && touch "$HOME/file" && echo "podman version 4.3.1"`;
  standIn(folder, 'podman', script);

  const [, podman] = await probe({ path: folder });

  const [home = '', ...others] = readFileSync(join(folder, 'seen'), 'utf8').trim().split(' ');
  expect(podman?.version).toBe('4.3.1');
  expect(others).toEqual([home, home]);
  expect(existsSync(home)).toBe(false);
});

it('is not held up by a podman that hangs, and says so', async () => {
  const folder = testFolder();
  standIn(folder, 'podman', "trap '' TERM; sleep 600");

  const [, podman] = await probe({ path: folder, timeoutMs: 300 });

  expect(podman).toMatchObject({
    state: 'not_running',
    version: null,
    reason: expect.stringContaining('within 0.3 s'),
  });
});

it('says how a nerdctl ended that answers nonsense', async () => {
  const folder = testFolder();
  standIn(folder, 'nerdctl', 'echo nonsense; exit 1');

  const [, , nerdctl] = await probe({ path: folder });

  expect(nerdctl).toMatchObject({
    state: 'not_running',
    version: null,
    reason: expect.stringContaining('ended with 1'),
  });
});

it('stops with the reason of the signal', async () => {
  const folder = testFolder();
  standIn(folder, 'podman', 'exec sleep 600');

  const probing = probe({ path: folder, signal: AbortSignal.timeout(200), timeoutMs: 60_000 });

  await expect(probing).rejects.toMatchObject({ name: 'TimeoutError' });
});

async function probe(sources: Partial<RuntimeSources>): Promise<RuntimeProbe[]> {
  return await probeRuntimes({
    path: '',
    places: [],
    approved: ['docker'],
    askEngine: () => Promise.resolve({ version: '28.0.0' }),
    sockets: { podman: [], nerdctl: [] },
    signal: patience,
    ...sources,
  });
}

async function listen(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
  return path;
}

it('takes away what a probe left behind that was killed, and nothing of one that is at work', async () => {
  const [folder, temporary] = [testFolder(), testFolder()];
  standIn(folder, 'podman', 'echo podman version 5.4.0');
  vi.stubEnv('TMPDIR', temporary);
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const name of ['gpuaas-probe-killed', 'gpuaas-probe-at-work', 'of-others']) {
    mkdirSync(join(temporary, name, 'storage'), { recursive: true });
  }
  for (const name of ['gpuaas-probe-killed', 'of-others']) {
    utimesSync(join(temporary, name), 0, 0);
  }

  await probe({ path: folder });

  expect(readdirSync(temporary).sort()).toEqual(['gpuaas-probe-at-work', 'of-others']);
});
