/** A Golem manifest from the file of its author to the results of its commands: real CLI, control plane, agent, gate and engine. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { type Outside, openOutside } from '../support/egress-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { type Gvmi, tinyGvmi } from '../support/gvmi.ts';
import { type Mirrors, mirrorsOf } from '../support/mirrors.ts';
import { openPool, ownPool } from '../support/open-pool.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';
import { ownRange } from './gate-ground.ts';

const folder = temporaryFolder('wire-golem');
let outside: Outside;
let closePool: (() => Promise<void>) | undefined;
let engine: PrivateEngine;
let wire: Wire;
let gvmi: Gvmi;
let mirrors: Mirrors;

beforeAll(async () => {
  gvmi = await tinyGvmi({ WorkingDir: '/', Env: ['PATH=/bin'] });
  mirrors = await mirrorsOf(gvmi.bytes);
  outside = await openOutside(await ownRange());
  const { open } = outside;
  engine = await startPrivateEngine(folder, { flags: [await gvisorFlag(folder)] });
  const network_pool = ownPool();
  closePool = await openPool(network_pool);
  wire = await openWire({
    ...{ engineSocket: engine.socketPath, withoutApp: true },
    agentConfig: {
      ...{ sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME }, payloads: { max_gib: 0.1, unpacked_gib: 0.1 } },
      network_pool,
      egress: { allow: [`${open}/32`], name_servers: [open] },
    },
    environment: { agent: { GPUAAS_AGENT_INPUTS_ALLOW: JSON.stringify(['127.0.0.0/8']) } },
  });
}, 240_000);
afterAll(async () => {
  await wire?.close();
  await closePool?.();
  await engine?.stop();
  await outside?.close();
});

const fileOf = (name: string, value: unknown) => {
  const at = join(folder, name);
  writeFileSync(at, typeof value === 'string' ? value : JSON.stringify(value));
  return at;
};
const manifestOf = (commands: readonly string[], net?: object) => ({
  ...{ version: '0.1.0', createdAt: '2022-09-15T00:00:00.000000Z', expiresAt: '2100-01-01T00:00:00.000000Z' },
  payload: [{ urls: [mirrors.url('gone'), mirrors.url('good')], hash: gvmi.hash }],
  compManifest: { version: '0.1.0', script: { commands, match: 'regex' }, ...(net && { net }) },
});
const toOpen = { inet: { out: { protocols: ['http'], urls: ['http://open.example'] } } };
const sh = (text: string) => ({ run: { entry_point: '/bin/sh', args: ['-c', text] } });

async function cli(...args: readonly string[]) {
  const { code, stdout, stderr } = await wire.member.cli(...args).ended;
  return { code, stdout, stderr };
}
async function trust(...args: readonly string[]) {
  const { code, stdout, stderr } = await startNodeAgent(['trust', ...args, '--config', wire.configFile]).ended;
  return { code, stdout, stderr };
}
async function submit(name: string, manifest: object, script: readonly object[], ...more: readonly string[]) {
  const [file, batch] = [fileOf(`${name}.json`, manifest), fileOf(`${name}-batch.json`, script)];
  const { code, stdout, stderr } = await cli('jobs', 'submit', file, '--script', batch, '--wait', '--json', ...more);
  const job = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as JobView;
  return { code, stdout, stderr, job };
}

it('is downloaded, run under gVisor command by command, and told with output and exit codes (M-9, M-13, M-18, M-20)', async () => {
  const script = [
    ...[{ deploy: {} }, { start: {} }, sh('echo kept > /golem/output/result.txt; echo first')],
    ...[sh('cat /golem/output/result.txt; echo trouble >&2'), { terminate: {} }],
  ];
  const { code, job, stderr } = await submit('plain', manifestOf(['run /bin/sh -c .*']), script);

  expect(code, stderr).toBe(0);
  expect(job).toMatchObject({ state: 'succeeded', dialect: 'golem' });
  const [step] = (await ok(await wire.member.call('GET', `/api/v1/jobs/${job.id}`))).steps;
  expect(step.commands.map(({ state }: { state: string }) => state)).toEqual(Array(5).fill('succeeded'));
  expect(step.commands[3]).toMatchObject({ exit_code: 0, stdout: { text: 'kept\n' }, stderr: { text: 'trouble\n' } });
  const { stdout } = await cli('jobs', 'describe', job.id);
  expect(stdout).toContain('kept');
  expect((await cli('jobs', 'logs', job.id)).stdout).toContain('first');
});

it('ends with the first command that fails, and says which (M-18)', async () => {
  const { code, job } = await submit('fails', manifestOf(['run /bin/sh -c .*']), [sh('exit 3'), sh('echo never')]);

  expect([code, job.state]).toEqual([1, 'failed']);
  expect(job.failure).toMatchObject({ code: 'command.failed' });
  const [step] = (await ok(await wire.member.call('GET', `/api/v1/jobs/${job.id}`))).steps;
  expect(step.commands).toMatchObject([{ state: 'failed', exit_code: 3 }, { state: 'skipped' }]);
});

it('is refused before it is a job where a command was not promised (M-18)', async () => {
  const { code, stdout } = await submit('wrong', manifestOf(['run /bin/date']), [sh('true')]);

  expect(code).toBe(3);
  expect(stdout).toContain('is not allowed by the manifest');
  expect(stdout).toContain('run /bin/sh -c true');
});

it('has the network that it promises only where the operator lets it, and says why not (M-17, M-36, M-42, X-25)', async () => {
  const fetch = sh('wget -q -O - http://open.example/ && ! wget -q -T 3 -O - http://closed.example/');
  const manifest = manifestOf(['run /bin/sh -c .*'], toOpen);
  const refused = await submit('network', manifest, [fetch]);

  expect([refused.code, refused.job.state]).toEqual([1, 'failed']);
  expect(refused.job.failure).toMatchObject({ code: 'manifest.refused' });
  expect(JSON.stringify(refused.job.failure)).toContain('open.example');

  expect((await trust('whitelist', 'add', 'open.example')).code).toBe(0);
  expect((await trust('test', join(folder, 'network.json'))).code).toBe(0);
  const accepted = await submit('network', manifest, [fetch]);

  expect(accepted.job).toMatchObject({ state: 'succeeded', failure: null });
  const [step] = (await ok(await wire.member.call('GET', `/api/v1/jobs/${accepted.job.id}`))).steps;
  expect(step.commands[0].stdout.text).toBe('allowed');
  const { items } = await ok(await wire.member.call('GET', `/api/v1/jobs/${accepted.job.id}/events`));
  expect(JSON.stringify(items)).toContain('closed.example');
  expect(outside.came.get(`${outside.closed}:80/tcp`)).toBeUndefined();
});

it('is believed where its author is known to the operator, and nobody has changed it since (M-41, M-43)', async () => {
  await trust('whitelist', 'remove', 'open.example');
  const [key, certificate] = [join(folder, 'author.key'), join(folder, 'author.pem')];
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  openssl(
    ...'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Author'.split(' '),
    '-keyout',
    key,
    '-out',
    certificate,
  );
  const manifest = manifestOf(['run /bin/sh -c .*'], toOpen);
  const file = fileOf('signed.json', manifest);
  const signed = fileOf('signed.b64', Buffer.from(JSON.stringify(manifest)).toString('base64'));
  openssl('dgst', '-sha256', '-sign', key, '-out', `${file}.sig`, signed);
  const proof = ['--signature', `${file}.sig`, '--certificate', certificate, '--algorithm', 'sha256'];
  const fetch = sh('wget -q -O - http://open.example/');

  const unknown = await submit('signed', manifest, [fetch], ...proof);
  expect(unknown.job.failure).toMatchObject({ code: 'manifest.refused' });
  expect((await trust('add', certificate)).code).toBe(0);
  const known = await submit('signed', manifest, [fetch], ...proof);
  expect(known.job).toMatchObject({ state: 'succeeded', failure: null });
  const changed = await submit('signed', { ...manifest, version: '0.2.0' }, [fetch], ...proof);
  expect(changed.job.failure).toMatchObject({ code: 'manifest.refused' });
});

it('is ended when its manifest expires while it runs: nothing of it is begun after that (M-4)', async () => {
  const expiresAt = new Date(Date.now() + 25_000).toISOString();
  const script = [sh('echo begun; sleep 600'), sh('echo never')];
  const { code, job } = await submit('expires', { ...manifestOf(['run /bin/sh -c .*']), expiresAt }, script);

  expect([code, job.state]).toEqual([1, 'expired']);
  expect(job.failure).toMatchObject({ code: 'manifest.expired' });
  const [step] = (await ok(await wire.member.call('GET', `/api/v1/jobs/${job.id}`))).steps;
  expect(step.commands).toMatchObject([{ state: 'failed', stdout: { text: 'begun\n' } }, { state: 'skipped' }]);
  expect((await cli('jobs', 'logs', job.id)).stdout).toContain('begun');
});

it('leaves nothing behind on its host', async () => {
  await expect
    .poll(async () => {
      const { body } = await engineCall<{ Names: string[] }[]>(engine.socketPath, 'GET', '/containers/json?all=1');
      return body.map(({ Names }) => Names);
    })
    .toEqual([]);
  const networks = (await engineCall<{ Name: string }[]>(engine.socketPath, 'GET', '/networks')).body;
  expect(networks.map(({ Name }) => Name).filter((name) => name.startsWith('gpuaas-'))).toEqual([]);
});
