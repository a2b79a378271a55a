/** The whole wire over TLS with a CA of one's own, and what each part says where the certificate is not to be believed. */
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, authority } from '../support/authority.ts';
import { until } from '../support/daemon-ground.ts';
import { startGpuaas, startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';
import { cloneConfig, enrolment } from '../support/wire-host.ts';

const folder = temporaryFolder('wire-tls');
/** What the control plane is started with; overwritten for another certificate. */
const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
let trusted: Authority;
let foreign: Authority;
let wire: Wire;

beforeAll(async () => {
  trusted = authority(join(folder, 'trusted'));
  foreign = authority(join(folder, 'foreign'));
  useCertificate(trusted.issue('IP:127.0.0.1'));
  wire = await openWire({ tls: { ...files, ca: trusted.ca } });
});
afterAll(async () => await wire?.close());

function useCertificate({ cert, key }: typeof files): void {
  copyFileSync(cert, files.cert);
  copyFileSync(key, files.key);
}

/** `gpuaas apps` with this CA. */
const apps = async (env: Readonly<Record<string, string>>) =>
  await startGpuaas(['apps'], { GPUAAS_URL: wire.url, GPUAAS_TOKEN: wire.member.token, ...env }).ended;

/** What `node-agent status` says of the connection. */
async function session(): Promise<{ state: string; reason: string | null }> {
  const { stdout } = await startNodeAgent(['status', '--config', wire.configFile, '--json']).ended;
  return JSON.parse(stdout).session;
}

it('runs what is launched over it, and streams its log', async () => {
  const { host_port } = (await wire.request())['config'] as { host_port: number };
  const launch = ['launch', 'web', '--allocation', wire.allocationId, '--set', `host_port=${host_port}`];

  const { code, stdout } = await wire.member.cli('apps', 'instances', ...launch).ended;
  const id = /describe (\S+)/.exec(stdout)?.[1] ?? '';

  expect(code).toBe(0);
  const logged = async () => (await wire.member.cli('apps', 'instances', 'logs', id).ended).stdout;
  await until(async () => (await logged()).startsWith('line 1\nline 2\n'), 'its log');
  expect(wire.url).toMatch(/^https:/);
  await expect(fetch(wire.url.replace('https', 'http'))).rejects.toThrow();
});

it('has the host believe the CA that its join token named, and no other', () => {
  const node = JSON.parse(readFileSync(join(wire.folder, 'state/identity/node.json'), 'utf8'));

  expect(node).toMatchObject({ control_plane: wire.url, ca: readFileSync(trusted.ca, 'utf8') });
});

describe('the command line', () => {
  it.each([
    ['of a CA that it does not know', () => ({})],
    ['of another CA than it was given', () => ({ GPUAAS_CA: foreign.ca })],
  ])('refuses a certificate %s, and says how to go on', async (_what, env) => {
    const { code, stdout, stderr } = await apps(env());

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('[server.untrusted]');
    expect(stderr).toContain('GPUAAS_CA');
  });

  it.each([
    ['is not there', () => join(folder, 'nothing.pem')],
    ['holds no certificate', () => files.key],
  ])('says that the file of the CA %s', async (what, file) => {
    const { code, stderr } = await apps({ GPUAAS_CA: file() });

    expect(code).toBe(2);
    expect(stderr).toContain(`GPUAAS_CA: ${file()} ${what === 'is not there' ? 'cannot be read' : 'holds no PEM'}`);
  });
});

describe('enrolment', () => {
  it.each([
    ['no CA', () => undefined],
    ['another CA', () => foreign.ca],
  ])('with %s is refused before the join token is sent, which stays good', async (what, ca) => {
    const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
    const place = { project_id: wire.projectId, name: what, shape, data_policy: 'wipe' };
    const { id } = ok(await wire.admin.call('POST', '/api/v1/allocations', place));
    const { token } = ok(await wire.admin.call('POST', '/api/v1/nodes/join-tokens', { allocation_id: id }));
    const own = join(folder, what);
    const host = { folder: own, url: wire.url, configFile: cloneConfig(wire.configFile, own, id), token };

    const refused = await enrolment({ ...host, ca: ca() });
    const kept = [existsSync(join(own, 'join-token')), existsSync(join(own, 'state/identity/node.json'))];
    const accepted = await enrolment({ ...host, ca: trusted.ca });

    expect([refused.code, JSON.parse(refused.stdout).failure.code]).toEqual([2, 'control_plane.untrusted']);
    expect(kept).toEqual([true, false]);
    expect([accepted.code, JSON.parse(accepted.stdout)]).toEqual([0, expect.objectContaining({ allocation_id: id })]);
  });
});

describe('a control plane that comes back with a certificate', { timeout: 600_000 }, () => {
  it.each([
    ['that has expired', () => trusted.issue('IP:127.0.0.1', -1), 'expired'],
    ['of another host', () => trusted.issue('DNS:cp.example.com'), 'does not match'],
    ['of another CA', () => foreign.issue('IP:127.0.0.1'), 'certificate'],
  ])('%s is refused by both, until it has a good one; what runs goes on', async (_what, issue, words) => {
    const { id } = await wire.launch();
    const { endpoints } = await wire.reaches(id, 'running');
    // Begins to count its attempts anew.
    await wire.agent.stop();
    await wire.agent.start();
    await wire.server.stop('SIGKILL');
    useCertificate(issue());
    await wire.server.start();

    await until(async () => (await session()).reason?.includes(words) === true, 'the agent to refuse it');
    const refused = await apps({ GPUAAS_CA: trusted.ca });
    expect((await session()).state).not.toBe('connected');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(words)]);
    expect(await (await fetch(endpoints[0].url)).text()).toBe('hello\n');

    await wire.server.stop('SIGKILL');
    useCertificate(trusted.issue('IP:127.0.0.1'));
    await wire.server.start();
    await until(async () => (await session()).state === 'connected', 'the agent to be back');
    expect((await apps({ GPUAAS_CA: trusted.ca })).code).toBe(0);
    await wire.reaches(id, 'running');
  });
});
