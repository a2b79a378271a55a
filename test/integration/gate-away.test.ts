/** The gate goes away in the middle of a task and comes back (FAULTS 36); the engine hangs (FAULTS 17). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => await host.clear());
afterAll(async () => await host.close());

describe('a gate that is restarted', () => {
  it.each(['pulling', 'creating', 'starting', 'probing'])(
    'while a launch is %s: the launch goes on, once',
    async (when) => {
      const params = host.launchParams(tiny, {
        command: ['sleep 1; touch /tmp/ok; sleep 100000'],
        readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 60 }],
      });
      let restarted: Promise<void> | undefined;

      const result = await host.run('workload.oci_launch', params, {
        onEvent: ({ type, phase }) => {
          if (type === 'phase.entered' && phase === when) {
            restarted ??= host.restartGate();
          }
        },
      });

      await restarted;
      const output = succeeded(result);
      expect(await containersNamed(host, containerOf(params))).toEqual([output.adapter.container_id]);
      expect(await networksOf(host, containerOf(params))).toHaveLength(1);
    },
  );

  it('does not touch what runs, and knows it again by its seal', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 20 }],
    });
    succeeded(await host.run('workload.oci_launch', params));
    const before = (await inspectRaw(host, containerOf(params))).State.Pid;

    await host.restartGate();

    expect((await host.engine.inspect(containerOf(params), AbortSignal.timeout(5000)))?.pid).toBe(before);
  });
});

describe('an engine that hangs', () => {
  it('is engine.timed_out within the deadline of the call, and works again by itself (FAULTS 17)', async () => {
    const engine = await startPrivateEngine(`${host.folder}/engine`);
    const hung = await openTestHost({ engineSocket: engine.socketPath, policy: { network_pool: '10.223.0.0/24' } });
    try {
      process.kill(engine.pid, 'SIGSTOP');
      const status = await hung.run('workload.oci_runtime_status', {});
      process.kill(engine.pid, 'SIGCONT');
      const after = await hung.run('workload.oci_runtime_status', {});

      expect(status.output).toMatchObject({ ready: false, engine: null });
      expect(JSON.stringify(status.output)).toMatch(/did not answer in time/);
      expect(after.output).toMatchObject({ engine: { version: expect.stringMatching(/^\d/) } });
      expect((await engineCall(engine.socketPath, 'GET', '/_ping')).status).toBe(200);
    } finally {
      process.kill(engine.pid, 'SIGCONT');
      await hung.close();
      await engine.stop();
    }
  });
});
