/** Secret files lie in memory: what becomes of them when the host is booted, and the workload is started again. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import type { LaunchParams } from '../support/test-host.ts';

let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround());
});
afterEach(async () => await ground.host.clear());
afterAll(async () => await ground?.close());

async function launchWithSecret(): Promise<LaunchParams> {
  const jwe = await new CompactEncrypt(Buffer.from('a secret of the workload'))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(ground.host.key.publicJwk, 'ECDH-ES'));
  const params = ground.host.launchParams(tiny, { sealed_files: { '/run/secrets/key': jwe } });
  outputOf(await ground.run('workload.oci_launch', params));
  return params;
}

async function control({ identity }: LaunchParams, action: 'stop' | 'start'): Promise<TaskResult> {
  return await ground.run('workload.oci_control', { identity, action, grace_seconds: 0 });
}

/** As a boot does. */
function emptyMemory({ identity }: LaunchParams): void {
  rmSync(join(ground.host.policy.secrets_dir, identity.app_instance_id), { recursive: true });
}

async function secretOf(params: LaunchParams): Promise<string> {
  const signal = AbortSignal.timeout(60_000);
  return (await ground.host.engine.exec(containerOf(params), ['/bin/cat', '/run/secrets/key'], { signal })).tail;
}

describe('a workload with secret files, started after memory was emptied', () => {
  it('has them again: the journal keeps them sealed', async () => {
    const params = await launchWithSecret();
    outputOf(await control(params, 'stop'));
    emptyMemory(params);

    const started = outputOf(await control(params, 'start'));

    expect(started.state).toBe('running');
    expect(await secretOf(params)).toBe('a secret of the workload');
  });

  it('is refused where the journal was lost, and told what to do', async () => {
    const params = await launchWithSecret();
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    for (const suffix of ['-wal', '-shm']) {
      rmSync(join(ground.stateDir, `agent.db${suffix}`), { force: true });
    }
    writeFileSync(join(ground.stateDir, 'agent.db'), 'this is no database');
    daemon = ground.start();
    const adopted = () => ground.events(params.identity.app_instance_id).map(({ event }) => event.type);
    await until(() => adopted().includes('workload.adopted'), 'the workload to be adopted');
    outputOf(await control(params, 'stop'));
    emptyMemory(params);

    const { status, failure } = await control(params, 'start');

    expect([status, failure?.code]).toEqual(['failed', 'mount.refused']);
    expect(failure?.message).toContain('launch the workload again');
  });
});
