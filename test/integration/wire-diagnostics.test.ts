/**
 * A bundle for support, asked for by an operator, from a real host whose secrets are known here: none is in it, nor in the
 * bundle that the host makes of itself. What the doctor finds beside the inventory is shown for the node.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostChecks } from '../../src/host/doctor.ts';
import { until } from '../support/daemon-ground.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { contentsBelow, privatePart, secretOf, secretsIn } from '../support/secrets.ts';
import { hostPolicy } from '../support/task-bench.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let endpointToken: string;
/** Name → secret. */
let secrets: Readonly<Record<string, string>>;

beforeAll(async () => {
  wire = await openWire();
  const launched = await wire.launch();
  endpointToken = launched.credentials[0].token;
  await wire.reaches(launched.id, 'running');
  const failed = await wire.launch({ mode: 'fail' });
  await wire.reaches(failed.id, 'failed');
  const api = await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`);
  expect(api.status).toBe(200);
  secrets = {
    'token of the endpoint': endpointToken,
    'token of the admin': secretOf(wire.admin.token),
    'join token': wire.joinToken.split('.')[1] ?? '',
    'identity key of the node': privatePart(join(wire.folder, 'state/identity')),
    'password of a registry': `registry-${randomBytes(16).toString('hex')}`,
    'bearer of a session': randomBytes(32).toString('base64url'),
  };
  // As if somebody had logged what nobody should: each on its way into a bundle meets no other redaction than ours.
  const folder = join(wire.folder, 'state/task-logs');
  const file = readdirSync(folder).find((name) => name.endsWith('.ndjson')) ?? '';
  const said = [
    `the notebook said ${endpointToken}`,
    `Authorization: Bearer ${wire.admin.token}`,
    `token ${wire.admin.token}`,
    `enrolled with ${wire.joinToken}`,
    `{"d":"${secrets['identity key of the node']}"}`,
    `pull https://robot:${secrets['password of a registry']}@registry.example.com/v2/`,
    `hello ${wire.nodeId}.3.${secrets['bearer of a session']}`,
  ];
  for (const msg of said) appendFileSync(join(folder, file), `${JSON.stringify({ time: 't', msg })}\n`);
});
afterAll(async () => await wire?.close());

const found = (text: string | Buffer) => secretsIn(text, secrets);

function unpacked(file: string): string {
  const out = `${file}.d`;
  mkdirSync(out);
  execFileSync('tar', ['-xzf', file, '-C', out]);
  return join(out, 'diagnostics');
}

function expectNoSecret(folder: string): void {
  const leaks = contentsBelow(folder)
    .map(([file, content]) => [file, found(content)] as const)
    .filter(([, names]) => names.length > 0)
    .toArray();
  expect(leaks).toEqual([]);
}

describe('diagnostics', () => {
  it('come from a host that is asked for them, for its owner alone and without its secrets', async () => {
    const file = join(wire.folder, 'bundle.tar.gz');

    const { code, stderr } = await wire.admin.cli('nodes', 'diagnostics', wire.nodeId, '-o', file).ended;

    expect([code, stderr.includes('unhandled')]).toEqual([0, false]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const folder = unpacked(file);
    const text = (name: string) => readFileSync(join(folder, name), 'utf8');
    const names = readdirSync(folder).toSorted();
    expect(names).toEqual(
      expect.arrayContaining([
        'about.json',
        'config.json',
        'doctor.json',
        'engine.json',
        'journal.json',
        'status.json',
      ]),
    );
    const checks = hostChecks({ policy: hostPolicy, stateDir: '/', askEngine: () => Promise.reject(), path: '' });
    expect((JSON.parse(text('doctor.json')) as { name: string }[]).map(({ name }) => name)).toEqual(
      checks.map(({ name }) => name),
    );
    expect(JSON.parse(text('status.json'))).toMatchObject({ node_id: wire.nodeId, session: { state: 'connected' } });
    expect(text('engine.json')).toContain('gpuaas-');
    expect(readdirSync(join(folder, 'tasks')).length).toBeGreaterThan(1);
    expect(contentsBelow(folder).some(([, content]) => content.includes('the notebook said'))).toBe(true);
    expectNoSecret(folder);
  });

  it('are kept by the control plane without a secret either', async () => {
    const leaks = contentsBelow(join(wire.folder, 'server'))
      .map(([file, content]) => [file, found(content)] as const)
      .filter(([, names]) => names.length > 0)
      .toArray();

    expect(leaks).toEqual([]);
  });

  it('are made on the host by the same code', async () => {
    const file = join(wire.folder, 'own.tar.gz');

    const { code, stdout } = await startNodeAgent(['doctor', '--bundle', file, '--json', '--config', wire.configFile])
      .ended;

    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { files: string[] }).files).toEqual(
      expect.arrayContaining(['status.json', 'doctor.json', 'journal.json']),
    );
    expectNoSecret(unpacked(file));
  });

  it('are for the platform alone', async () => {
    const { code, stdout } = await wire.member.cli(
      'nodes',
      'diagnostics',
      wire.nodeId,
      '-o',
      '/nonexistent/x',
      '--json',
    ).ended;

    expect([code, JSON.parse(stdout).failure.code]).toEqual([3, 'request.forbidden']);
  });
});

it('what the doctor finds without asking anybody is told with the inventory, and shown', async () => {
  const look = async () => (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`)).body;
  await until(async () => (await look()).inventory?.health !== undefined, 'the health of the host');
  const node = await look();
  const { health } = node.inventory;
  const shown = (await wire.admin.cli('nodes', 'show', wire.nodeId).ended).stdout;

  expect(health.ok + health.warn + health.fail + health.skipped).toBe(25);
  expect(shown).toContain(`${health.fail} failed, ${health.warn} warnings`);
  for (const { name, fix } of health.findings) {
    expect(shown).toContain(name);
    expect(fix.length).toBeGreaterThan(5);
  }
  expect(node.readiness).toEqual({ state: 'ready', reasons: [] });
});
