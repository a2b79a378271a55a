/** How `node-agent run` ends where it cannot begin: a supervisor goes by the exit status (78: do not start it again). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('run-exit');

interface Host {
  readonly configFile: string;
  readonly stateDir: string;
}

function aHost(over: Record<string, unknown> = {}): Host {
  const place = join(folder, crypto.randomUUID());
  const stateDir = join(place, 'state');
  mkdirSync(join(stateDir, 'identity'), { recursive: true, mode: 0o700 });
  const configFile = join(place, 'agent.json');
  const config = {
    allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1001, home: '/home/tenant' } },
    ...{ state_dir: stateDir, run_dir: join(place, 'run'), telemetry: { port: 0 } },
    gate: {
      ...{ socket: join(place, 'no-gate.sock'), state_dir: join(place, 'gate') },
      engine_socket: join(place, 'no-engine.sock'),
    },
    ...over,
  };
  writeFileSync(configFile, JSON.stringify(config), { mode: 0o600 });
  return { configFile, stateDir };
}

function enrolled(host: Host, over: Record<string, unknown> = {}): Host {
  const key = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) };
  const node = {
    ...{ node_id: 'node-7', allocation_id: 'alloc-1', release_root: key, ca: '' },
    ...{ control_plane: 'http://127.0.0.1:9', keys_since: '2026-11-25T10:00:00Z' },
    task_keys: [{ kid: 'k1', jwk: key, retire_after: null }],
    ...over,
  };
  writeFileSync(join(host.stateDir, 'identity/node.json'), JSON.stringify(node), { mode: 0o600 });
  return host;
}

async function run({ configFile }: Pick<Host, 'configFile'>) {
  const { code, stderr } = await startNodeAgent(['run', '--config', configFile]).ended;
  return { status: code, code: /\[([a-z_]+\.[a-z_]+)\]/.exec(stderr)?.[1] };
}

it.each<[string, () => Pick<Host, 'configFile'>, string]>([
  ['its configuration is not there', () => ({ configFile: join(folder, 'nowhere.json') }), 'config.invalid'],
  ['the configuration is wrong', () => aHost({ log_level: 'chatty' }), 'config.invalid'],
  ['it contradicts the enrolment', () => enrolled(aHost({ node_id: 'node-8' })), 'config.invalid'],
  ['the host belongs to another allocation', () => enrolled(aHost(), { allocation_id: 'alloc-2' }), 'config.invalid'],
  ['the identity is damaged', () => enrolled(aHost(), { task_keys: 'none' }), 'identity.unusable'],
  [
    'the CA cannot be read',
    () => enrolled(aHost({ control_plane: { url: 'https://127.0.0.1:9', ca_file: join(folder, 'no-ca.pem') } })),
    'config.invalid',
  ],
])('is 78 where %s', async (_what, host, code) => {
  expect(await run(host())).toEqual({ status: 78, code });
});

it('is 0 where it was told to end, with neither engine nor control plane there: both can come back', async () => {
  const daemon = startNodeAgent(['run', '--config', enrolled(aHost()).configFile]);
  await daemon.saw('agent runs');

  daemon.child.kill('SIGTERM');

  expect((await daemon.ended).code).toBe(0);
});
