/**
 * Identities over time, on real hosts of a real control plane: what a revoked node does, how a copy of a host becomes a host of
 * its own, how far task keys are followed, and what can be had with the key of a node in hand (X-2, X-4, FAULTS 32).
 */
import { createPrivateKey } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readKeyPair } from '../../src/agent/identity/key-pair.ts';
import { readNode } from '../../src/agent/identity/node-record.ts';
import { goodbyePath, goodbyeText, helloText, rotateKeysPath, rotateText } from '../../src/contract/signing.ts';
import { until } from '../support/daemon-ground.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { type AgentKeys, makeAgentKeys, ScriptedAgent, signText } from '../support/scripted-agent.ts';
import { eventsAbout } from '../support/wire-events.ts';
import { type Answer, ok, openWire, type Wire } from '../support/wire-ground.ts';
import { cloneConfig, daemonOf, type WireHost } from '../support/wire-host.ts';

let wire: Wire;

beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

const node = async (id: string): Promise<Answer['body']> => ok(await wire.admin.call('GET', `/api/v1/nodes/${id}`));
const status = async (configFile: string) =>
  JSON.parse((await startNodeAgent(['status', '--config', configFile, '--json']).ended).stdout);
const operator = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await wire.admin.cli(...args).ended;
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
};
const identityX = (stateDir: string) =>
  readKeyPair(join(stateDir, 'identity/identity.jwk'), 'Ed25519')?.publicJwk.x ?? '';

/** Launches `web` on the host and resolves when it runs. */
async function runningOn({ allocationId }: Pick<WireHost, 'allocationId'>): Promise<Answer['body']> {
  const body = { ...(await wire.request()), placement_intent: { target_allocation_id: allocationId } };
  const { id } = ok(await wire.member.call('POST', '/api/v1/app-instances', body));
  return await wire.reaches(id, 'running');
}

/** Enrols the host that has this configuration with a new token, at the control plane that it knows. */
async function enrolAgain(configFile: string, allocationId: string, ...more: readonly string[]) {
  const tokenFile = join(wire.folder, 'another-token');
  writeFileSync(tokenFile, await operator('nodes', 'join-token', allocationId), { mode: 0o600 });
  return await startNodeAgent([...['enroll', '--token-file', tokenFile, '--config', configFile, ...more]]).ended;
}

it('a revoked node: its workloads run on, it asks once and then with patience, says so, and can be enrolled anew', async () => {
  const host = await wire.addHost('revoked');
  const stateDir = join(wire.folder, 'revoked/state');
  const { id } = await runningOn(host);
  const before = identityX(stateDir);
  const pid = host.agent.pid;

  await operator('nodes', 'revoke', host.nodeId);
  await until(async () => (await status(host.configFile)).session.state === 'refused', 'it to know');

  const { session, workloads } = await status(host.configFile);
  expect(session.reason).toMatch(/revoked/);
  expect(workloads).toMatchObject([{ workload_id: id, state: 'running' }]);
  expect((await wire.inspect(id)).State.Status).toBe('running');
  const said = wire
    .logs()
    .split('\n')
    .filter((line) => line.includes('"code":"revoked"'));
  expect(said).toHaveLength(1);
  expect(JSON.parse(said[0] ?? '{}').delay_ms).toBeGreaterThanOrEqual(30 * 60_000);
  const text = (await startNodeAgent(['status', '--config', host.configFile]).ended).stdout;
  expect(text).toContain('enrol');
  expect(() => process.kill(pid, 0)).not.toThrow();

  await host.agent.stop();
  const { code, stderr } = await enrolAgain(host.configFile, host.allocationId);
  expect([code, stderr]).toEqual([0, '']);
  const now = readNode(stateDir);
  expect(now?.node_id).not.toBe(host.nodeId);
  // Whoever has the key of the node that was revoked has nothing of the new one.
  expect(identityX(stateDir)).not.toBe(before);
  void host.agent.start().catch(() => undefined);
  await until(async () => (await node(now?.node_id ?? '')).connected, 'the new node');
  expect((await wire.inspect(id)).State.Status).toBe('running');
}, 300_000);

it('an operator replaces the keys of a node now: the session stands, the next one uses them, the old ones are worth nothing', async () => {
  const host = await wire.addHost('rotated');
  const stateDir = join(wire.folder, 'rotated/state');
  const { id } = await runningOn(host);
  const identity = createPrivateKey({
    key: JSON.parse(readFileSync(join(stateDir, 'identity/identity.jwk'), 'utf8')),
    format: 'jwk',
  });
  const before = identityX(stateDir);

  const { code, stdout } = await startNodeAgent(['rotate-keys', '--config', host.configFile]).ended;
  const after = identityX(stateDir);
  const { epoch } = (await status(host.configFile)).session;
  await host.agent.stop();
  await host.agent.start();

  expect([code, stdout]).toEqual([0, expect.stringContaining('replaced')]);
  expect(after).not.toBe(before);
  const taken = new ScriptedAgent(wire.url);
  await taken.hello({ ...makeAgentKeys(), identity }, host.nodeId, epoch + 1);
  expect(await taken.closed).toBe(4401);
  // What was sealed for the old wrapping key is delivered again.
  expect((await wire.member.cli('apps', 'instances', 'restart', id).ended).code).toBe(0);
  expect(await node(host.nodeId)).toMatchObject({ status: 'enrolled', connected: true });
}, 300_000);

it('an operator has a node replace its keys from afar, which is on record, and it works on with them', async () => {
  const stateDir = join(wire.folder, 'state');
  const before = identityX(stateDir);

  const { code, stdout } = await wire.admin.cli('nodes', 'rotate-keys', wire.nodeId, '--json').ended;

  expect([code, JSON.parse(stdout)]).toMatchObject([0, { state: 'ended', failure: null }]);
  expect(identityX(stateDir)).not.toBe(before);
  const audited = ok(await wire.admin.call('GET', '/api/v1/audit?limit=50')).items as { route: string }[];
  expect(audited.some(({ route }) => route.endsWith('/rotate-keys'))).toBe(true);
  await wire.agent.stop();
  await wire.agent.start();
  expect(await node(wire.nodeId)).toMatchObject({ status: 'enrolled', connected: true });
}, 300_000);

it('a copy of a host becomes one of its own by new keys, and the original never notices (FAULTS 32)', async () => {
  const shape = { gpu_count: 0, cpu_cores: 4, memory_gib: 4 };
  const wanted = { project_id: wire.projectId, name: 'for the copy', shape };
  const { id: allocationId } = ok(await wire.admin.call('POST', '/api/v1/allocations', wanted));
  const folder = join(wire.folder, 'copied');
  const configFile = cloneConfig(wire.configFile, folder, allocationId);
  cpSync(join(wire.folder, 'state/identity'), join(folder, 'state/identity'), { recursive: true });

  const refused = await enrolAgain(configFile, allocationId);
  const enrolled = await enrolAgain(configFile, allocationId, '--new-keys');

  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('--new-keys');
  expect([enrolled.code, enrolled.stderr]).toEqual([0, '']);
  const copy = readNode(join(folder, 'state'));
  expect(copy?.node_id).not.toBe(wire.nodeId);
  expect(identityX(join(folder, 'state'))).not.toBe(identityX(join(wire.folder, 'state')));
  const isConnected = async () => (await node(copy?.node_id ?? '')).connected === true;
  const agent = daemonOf(folder, ['run', '--config', configFile], { logs: [], isReady: isConnected });
  await using _agent = { [Symbol.asyncDispose]: () => agent.stop('SIGKILL') };
  await agent.start();
  expect(await node(wire.nodeId)).toMatchObject({ status: 'enrolled', connected: true });
}, 300_000);

it('a node that was away follows the task key over rotations; one that missed too many is told the way out', async () => {
  const host = await wire.addHost('forgetful');
  const rotate = async (times: number) => {
    for (let time = 0; time < times; time += 1) await operator('keys', 'rotate');
  };
  await host.agent.stop();
  await rotate(3);
  await host.agent.start();
  await runningOn(host);

  await host.agent.stop();
  await rotate(9);
  void host.agent.start().catch(() => undefined);
  await until(
    async () => (await status(host.configFile).catch(() => undefined))?.session?.state === 'refused',
    'it to be refused',
  );
  const { session } = await status(host.configFile);
  expect(session.reason).toContain('missed too many task keys');
  expect(session.reason).toContain('enrol');

  await host.agent.stop();
  await operator('nodes', 'revoke', host.nodeId);
  expect((await enrolAgain(host.configFile, host.allocationId)).code).toBe(0);
  void host.agent.start().catch(() => undefined);
  const { node_id = '' } = readNode(join(wire.folder, 'forgetful/state')) ?? {};
  await until(async () => (await node(node_id)).connected, 'the new node');
}, 300_000);

describe('with the identity key of a node in hand', () => {
  let host: WireHost;
  let keys: AgentKeys;
  let epoch: number;
  const agents: ScriptedAgent[] = [];
  const dial = () => {
    const agent = new ScriptedAgent(wire.url);
    agents.push(agent);
    return agent;
  };

  beforeAll(async () => {
    host = await wire.addHost('taken');
    await host.agent.stop();
    const identity = (name: string) =>
      createPrivateKey({
        key: JSON.parse(readFileSync(join(wire.folder, 'taken/state/identity', name), 'utf8')),
        format: 'jwk',
      });
    keys = { ...makeAgentKeys(), identity: identity('identity.jwk') };
    epoch = Number(readFileSync(join(wire.folder, 'taken/state/identity/epoch'), 'utf8'));
  });
  afterAll(() => {
    for (const { socket } of agents) socket.terminate();
  });

  const ask = async (method: string, path: string, bearer: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${bearer}`, ...(body ? { 'content-type': 'application/json' } : {}) };
    return await fetch(`${wire.url}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  };

  it('no other node is to be had: not its session, its keys, or its end', async () => {
    const agent = dial();
    await agent.hello(keys, wire.nodeId, epoch);
    expect(await agent.closed).toBe(4401);

    const fresh = makeAgentKeys();
    const audience = wire.url;
    const facts = {
      node_id: wire.nodeId,
      audience,
      identity_key: fresh.identity_key,
      wrapping_key: fresh.wrapping_key,
    };
    const signed = signText(keys.identity, rotateText(facts));
    const rotation = { ...facts, old_signature: signed, new_signature: signText(fresh.identity, rotateText(facts)) };
    const goodbye = { node_id: wire.nodeId, audience };
    const bye = { ...goodbye, signature: signText(keys.identity, goodbyeText(goodbye)) };
    expect((await ask('POST', rotateKeysPath, '', rotation)).status).toBe(401);
    expect((await ask('POST', goodbyePath, '', bye)).status).toBe(401);
    expect(await node(wire.nodeId)).toMatchObject({ status: 'enrolled', connected: true });
  });

  it('a hello is good once, for one connection, and for this control plane', async () => {
    const [first, second, third] = [dial(), dial(), dial()];
    const { nonce } = await first.next('challenge');
    await second.hello(keys, host.nodeId, epoch, { signature: 'A'.repeat(86) });
    // Signed over the challenge of another connection.
    await third.next('challenge');
    const replayed = new ScriptedAgent(wire.url);
    agents.push(replayed);
    await replayed.next('challenge');
    const boot_id = 'boot-1';
    const text = (audience: string) => helloText({ nonce, audience, node_id: host.nodeId, epoch, boot_id });
    for (const [agent, audience] of [
      [replayed, wire.url],
      [third, 'https://elsewhere.example'],
    ] as const) {
      agent.send({
        ...{ type: 'hello', node_id: host.nodeId, boot_id, agent_version: '1.0.0', protocol: 1, epoch },
        ...{ task_types: [], signature: signText(keys.identity, text(audience)) },
      });
      expect(await agent.closed).toBe(4401);
    }
    expect(await second.closed).toBe(4401);
    expect((await node(host.nodeId)).status).toBe('enrolled');
  });

  it('its session opens what is its own and nothing else, as long as it is the last one', async () => {
    const { id } = await runningOn(wire);
    const foreign = (await tasksOf(wire.configFile)).find(({ workload_id }) => workload_id === id);
    // It sends no heartbeats, so nothing slow is done while its session stands.
    const agent = dial();
    const { bearer, epoch: mine } = await agent.enter(keys, host.nodeId, epoch);
    await until(async () => (await node(host.nodeId)).connected, 'its session');

    for (const task_id of [foreign?.task_id, 'no-such-task']) {
      const answer = await ask('POST', '/agent/v1/registry-credentials', bearer, { task_id });
      expect([403, 404]).toContain(answer.status);
    }
    for (const [method, path] of [
      ['GET', '/api/v1/nodes'],
      ['GET', `/api/v1/app-instances/${id}`],
      ['POST', '/api/v1/keys/rotate'],
      ['GET', '/metrics'],
    ] as const) {
      expect((await ask(method, path, bearer)).status, path).toBe(401);
    }
    // What it says of a task or a workload of another node changes nothing there.
    const at = new Date().toISOString();
    agent.send({
      ...{ type: 'record', journal_id: 'taken-journal', seq: 1, kind: 'task.result', at },
      body: {
        ...{ task_id: foreign?.task_id ?? '', status: 'failed', output: null, failure: null },
        ...{ started_at: at, finished_at: at },
      },
    });
    await agent.next('ack');
    expect((await wire.instance(id)).state).toBe('running');

    const later = dial();
    const welcome = await later.enter(keys, host.nodeId, mine);
    const answer = await ask('POST', '/agent/v1/registry-credentials', bearer, { task_id: 'x' });
    expect(answer.status).toBe(401);

    // Behind the last: a copy.
    const stale = dial();
    await stale.hello(keys, host.nodeId, mine - 1);
    expect(await stale.closed).toBe(4423);
    expect(welcome.epoch).toBeGreaterThan(mine);
    const types = (await eventsAbout(wire, host.nodeId, 'node.quarantined')).map(({ type }) => type);
    expect(types).toContain('node.quarantined');
    expect((await ask('POST', '/agent/v1/registry-credentials', welcome.bearer, { task_id: 'x' })).status).toBe(401);
  });
});

const tasksOf = async (configFile: string): Promise<{ task_id: string; workload_id: string }[]> =>
  JSON.parse((await startNodeAgent(['tasks', '--config', configFile, '--json']).ended).stdout).tasks;
