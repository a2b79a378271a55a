/**
 * The agent is updated on a real host while a workload serves (FAULTS 15 and 31): by systemd, the gate and the guard as
 * they are installed, and by signed releases of which some are not well.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBase } from '../../bootstrap/dev/ground.ts';
import { type Serving, startServing } from '../support/serving-host.ts';
import { publisher, signingPair } from '../support/signed-release.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { binaryOf, type Installed, installAgent, unwell } from '../support/update-ground.ts';

const ours = publisher();
let host: SystemdHost;
let agent: Installed;
let serving: Serving;

beforeAll(async () => {
  host = await startHost({ debian: 13 });
  const [binary, { registry }] = await Promise.all([binaryOf('0.1.0'), ensureBase()]);
  agent = await installAgent(host, binary, ours, { registry: registry.host });
  await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'an agent');
  serving = await startServing(host);
}, 600_000);
afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
});

const from = async (folder: string) =>
  await host.run(['/opt/gpuaas-node-agent/current/node-agent', 'update', '--from', folder, '--json'], { timeout: 200 });
const codeOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}').failure?.code;

describe('a version that is not believed', () => {
  it.each([
    ['update.untrusted', 'is signed by another root', () => publisher(signingPair()).release('0.1.5', unwell.crashes)],
    ['update.expired', 'has expired', () => ours.release('0.1.5', unwell.crashes, { expires: '2026-01-01T00:00:00Z' })],
    ['update.unfit', 'fails its self-test', () => ours.release('0.1.5', unwell.unfit)],
    [
      'update.damaged',
      'is another file than was signed',
      () => ({ ...ours.release('0.1.5', unwell.crashes), packed: ours.release('0.1.5', unwell.hangs).packed }),
    ],
  ] as const)('is refused as %s where it %s', async (code, _what, release) => {
    const { failed } = await serving.during(async () => {
      expect(codeOf(await from(await agent.bring(release())))).toBe(code);
    });

    expect(await agent.running()).toEqual({ version: '0.1.0', current: 'versions/0.1.0', pending: '' });
    expect(failed).toBe(0);
  });
});

describe('a version that is not well', () => {
  it.each([
    ['crashes', '0.1.6', 'It was started 3 times'],
    ['hangs', '0.1.7', 'It was not well within 75 seconds'],
    ['freezes', '0.1.8', 'Its? (gate )?stood still'],
  ] as const)('is rolled back within two minutes where it %s, and never taken again', async (how, version, why) => {
    const release = ours.release(version, unwell[how]);
    const folder = await agent.bring(release);
    const { failed, ok } = await serving.during(async () => {
      expect(codeOf(await from(folder))).toBe('update.rolled_back');
      await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'the old version', 120);
    });

    expect(ok).toBeGreaterThan(10);
    expect(failed).toBe(0);
    expect(await agent.running()).toEqual({ version: '0.1.0', current: 'versions/0.1.0', pending: '' });
    expect(await agent.guarded('skipped')).toMatch(new RegExp(`${version} ${why}`));
    expect(codeOf(await from(folder))).toBe('update.skipped');
  });
});

describe('a version that is well', () => {
  it('takes over while a workload serves, and stays (G-187)', async () => {
    const folder = await agent.bring(ours.release('0.2.0', await binaryOf('0.2.0')));
    const { failed, ok } = await serving.during(async () => {
      const { code, stdout, stderr } = await from(folder);
      expect([code, stderr]).toEqual([0, expect.any(String)]);
      expect(JSON.parse(stdout)).toMatchObject({ outcome: 'committed', version: '0.2.0', from: '0.1.0' });
    });

    expect(ok).toBeGreaterThan(10);
    expect(failed).toBe(0);
    expect(await agent.running()).toEqual({ version: '0.2.0', current: 'versions/0.2.0', pending: '' });
    expect(await host.sh('readlink /opt/gpuaas-node-agent/previous')).toBe('versions/0.1.0');
    expect(await agent.guarded('memory')).toContain('seq=');
  });

  it('is left again by an operator, and then not taken by itself', async () => {
    const { failed } = await serving.during(async () => {
      await host.sh('/opt/gpuaas-node-agent/current/node-agent update --rollback');
      await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'the version before');
    });

    expect(failed).toBe(0);
    expect(await agent.guarded('skipped')).toContain('0.2.0 ');
  });
});
