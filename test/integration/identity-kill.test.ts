/**
 * SIGKILL at every single change that enrolment and key rotation make on the disk (FAULTS 15, for the identity): what lies
 * there is the old identity or the new one, never half of one, and the agent connects with it. At each of these moments, and
 * under a umask that forbids nothing, all of it is for its owner only.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readKeyPair } from '../../src/agent/identity/key-pair.ts';
import { readNode, writeNode } from '../../src/agent/identity/node-record.ts';
import { makeJoinToken } from '../../src/server/enrolment/join-token.ts';
import { until } from '../support/daemon-ground.ts';
import { type HubGround, openHubGround } from '../support/hub-ground.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { anAllocation, aProject } from '../support/store-samples.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = temporaryFolder('identity-kill');
const limitMs = 600_000;
let ground: HubGround;

let umask: number;
beforeAll(async () => {
  umask = process.umask(0);
  ground = await openHubGround(join(root, 'server'));
  await ground.store.write((tx) => tx.projects.insert(aProject()));
});
afterAll(async () => {
  process.umask(umask);
  await ground?.close();
});

interface Host {
  readonly folder: string;
  readonly stateDir: string;
  readonly configFile: string;
  readonly tokenFile: string;
  readonly allocationId: string;
}

/** A host that has a join token in a file, and nothing else yet. Its engine is away. */
async function hostWithToken(name: string): Promise<Host> {
  const folder = join(root, name);
  const allocationId = randomUUID();
  mkdirSync(join(folder, 'home'), { recursive: true });
  const { token } = await ground.store.write(async (tx) => {
    await tx.allocations.insert(anAllocation({ id: allocationId }));
    const { serverKeys } = ground;
    return await makeJoinToken(tx, serverKeys, {
      ...{ allocation_id: allocationId, created_by: 'test', now: Date.now(), ca: '' },
    });
  });
  const host = {
    ...{ folder, allocationId, stateDir: join(folder, 'state') },
    ...{ configFile: join(folder, 'agent.json'), tokenFile: join(folder, 'join-token') },
  };
  writeFileSync(host.tokenFile, token, { mode: 0o600 });
  const config = {
    ...{ state_dir: host.stateDir, run_dir: join(folder, 'run'), telemetry: { port: 0 } },
    ...{ registries: [], secrets_dir: join(folder, 'secrets') },
    allocation: { id: allocationId, user: { uid: 61_903, gid: 61_903, home: join(folder, 'home') } },
    gate: {
      ...{ socket: join(folder, 'gate.sock'), state_dir: join(folder, 'gate') },
      engine_socket: join(folder, 'none.sock'),
    },
  };
  writeFileSync(host.configFile, JSON.stringify(config), { mode: 0o600 });
  return host;
}

/** With `kill`: until it has made that many changes in that folder. */
function start(args: readonly string[], { configFile, folder }: Host, kill?: { in: string; at: number }): RunningTask {
  const preload = resolve(import.meta.dirname, '../support/killed-at.ts');
  // What it leaves behind when it is killed goes with the folder of the test.
  const env = { ...process.env, TMPDIR: join(folder, 'home') };
  const killed = kill && {
    NODE_OPTIONS: `--import ${preload}`,
    GPUAAS_TEST_KILL_UNDER: kill.in,
    GPUAAS_TEST_KILL_AT: `${kill.at}`,
  };
  return startNodeAgent([...args, '--config', configFile], { env: { ...env, ...killed } });
}

const enroll = (host: Host, killAt?: number) =>
  start(
    ['enroll', '--url', ground.origin, '--token-file', host.tokenFile],
    host,
    killAt === undefined ? undefined : { in: host.folder, at: killAt },
  ).ended;

/** Throws where something of the identity is damaged. */
function identityOf({ stateDir }: Host) {
  const folder = join(stateDir, 'identity');
  const all = existsSync(folder) ? readdirSync(folder) : [];
  const modes = [...(existsSync(folder) ? [folder] : []), ...all.map((name) => join(folder, name))].map((path) => [
    ...[path, (statSync(path).mode & 0o077).toString(8)],
  ]);
  expect(modes.filter(([, others]) => others !== '0')).toEqual([]);
  const names = all.filter((name) => name.endsWith('.jwk'));
  const pairs = names.map((name) => {
    const pair = readKeyPair(join(folder, name), name.startsWith('identity') ? 'Ed25519' : 'X25519');
    return { name, x: pair?.publicJwk.x };
  });
  return { node: readNode(stateDir), pairs };
}

/** A life of the daemon, up to its session and until that is so as well. */
async function connects(host: Host, also: () => boolean = () => true): Promise<void> {
  const daemon = start(['run'], host);
  const { node_id } = readNode(host.stateDir) ?? { node_id: '' };
  try {
    const isThere = async () => ground.hub.isConnected(node_id) && also();
    await Promise.race([
      until(isThere, 'the session'),
      daemon.ended.then(({ stderr }) => Promise.reject(new Error(`it ended: ${stderr}`))),
    ]);
  } finally {
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    await until(() => !ground.hub.isConnected(node_id), 'the end of the session');
  }
}

it(
  'enrolment: the token is there until the host is a node, and the same token ends what was begun',
  async () => {
    let killed = 0;
    for (let at = 1; ; at += 1) {
      const host = await hostWithToken(`enrol-${at}`);
      const { signal, code, stderr } = await enroll(host, at);
      if (signal === null) {
        expect([code, stderr]).toEqual([0, '']);
        break;
      }
      killed += 1;
      const { node } = identityOf(host);
      expect(node !== undefined || existsSync(host.tokenFile), `after change ${at}`).toBe(true);

      if (existsSync(host.tokenFile)) expect((await enroll(host)).stdout).toContain('This host is node');
      expect(existsSync(host.tokenFile)).toBe(false);
      // What the second enrolment leaves is the same each time; the daemon need not show that each time.
      if (node !== undefined || at === 1) await connects(host);
      const nodes = await ground.store.read((tx) => tx.nodes.list({}));
      expect(nodes.filter(({ allocation_id }) => allocation_id === host.allocationId)).toHaveLength(1);
    }
    expect(killed).toBeGreaterThan(10);
  },
  limitMs,
);

it(
  'enrolment with keys of its own, of a host that was another node: the same token ends what was begun',
  async () => {
    let killed = 0;
    const host = await hostWithToken('again');
    await enroll(host);
    for (let at = 1; ; at += 1) {
      const before = identityOf(host);
      await ground.revoke(before.node?.node_id ?? '');
      const { token } = await ground.store.write(async (tx) => {
        const wanted = { allocation_id: host.allocationId, created_by: 'test', now: Date.now(), ca: '' };
        return await makeJoinToken(tx, ground.serverKeys, wanted);
      });
      writeFileSync(host.tokenFile, token, { mode: 0o600 });
      const { signal, code, stderr } = await enroll(host, at);
      if (signal === null) {
        expect([code, stderr]).toEqual([0, '']);
        break;
      }
      killed += 1;
      identityOf(host);
      if (existsSync(host.tokenFile)) expect((await enroll(host)).stdout, `${at}`).toContain('This host is node');
      const after = identityOf(host);
      expect(after.node?.node_id).not.toBe(before.node?.node_id);
      const { identity_key, wrapping_key } = await ground.node(after.node?.node_id ?? '');
      const inPlace = (name: string) => after.pairs.find((pair) => pair.name === name)?.x;
      expect([inPlace('identity.jwk'), inPlace('wrapping.jwk')]).toEqual([identity_key.x, wrapping_key.x]);
      const old = before.pairs.filter(({ name }) => name.startsWith('wrapping')).map(({ x }) => x);
      expect(after.pairs.map(({ x }) => x)).toEqual(expect.arrayContaining(old));
    }
    expect(killed).toBeGreaterThan(10);
  },
  limitMs,
);

it(
  'key rotation: old keys or new ones, the control plane knows them, and the next life ends what was begun',
  async () => {
    const host = await hostWithToken('rotate');
    await enroll(host);
    await connects(host);
    const nodeId = readNode(host.stateDir)?.node_id ?? '';
    const next = join(host.stateDir, 'identity/identity.next.jwk');
    // Of the file alone: a daemon that is at work makes and renames others meanwhile.
    const keyNow = () => readKeyPair(join(host.stateDir, 'identity/identity.jwk'), 'Ed25519')?.publicJwk.x;
    let killed = 0;
    for (let at = 1; ; at += 1) {
      const { node, pairs } = identityOf(host);
      if (node) writeNode(host.stateDir, { ...node, keys_since: '2026-01-01T00:00:00.000Z' });
      const before = keyNow();
      const daemon = start(['run'], host, { in: join(host.stateDir, 'identity'), at });
      const rotated = daemon.saw('keys of the node replaced').then(
        () => true,
        () => false,
      );
      if (await rotated) {
        daemon.child.kill('SIGKILL');
        await daemon.ended;
        break;
      }
      expect((await daemon.ended).signal).toBe('SIGKILL');
      killed += 1;
      const after = identityOf(host);
      const known = await ground.node(nodeId);
      const identityKeys = [known.identity_key, known.next_keys?.identity_key].map((key) => key?.x);
      expect(identityKeys, `after change ${at}`).toContain(keyNow());
      expect(after.pairs.map(({ x }) => x)).toContain(known.wrapping_key.x);
      const old = pairs.filter(({ name }) => name.startsWith('wrapping')).map(({ x }) => x);
      expect(after.pairs.map(({ x }) => x)).toEqual(expect.arrayContaining(old));
      await until(() => !ground.hub.isConnected(nodeId), 'the end of the session');
      await connects(host, () => !existsSync(next) && keyNow() !== before);
    }
    expect(killed).toBeGreaterThan(10);
  },
  limitMs,
);
