/**
 * Ten failures of different kinds, made for real, each explained to somebody who has neither the source nor the daemon:
 * what was asked, where it broke, what engine and kernel said, what to do next.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { explain } from '../../src/agent/explain/explain.ts';
import { Explanation } from '../../src/agent/explain/explanation.ts';
import { explainSources } from '../../src/agent/explain/sources.ts';
import { openLogSources } from '../../src/agent/logs/open-sources.ts';
import { explanationText } from '../../src/cli/explain-text.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { judge } from '../../src/contract/validate.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../../src/runtime/engine.ts';
import {
  type EnvelopeOptions,
  endsForItsMemory,
  type LaunchParams,
  openTestHost,
  type TestHost,
} from '../support/test-host.ts';

let host: TestHost;
let tiny: string;
let holder: Server | undefined;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});

afterEach(async () => {
  holder?.close();
  holder = undefined;
  await host.clear();
});

afterAll(async () => {
  await host.close();
});

async function explained(id: string, engine: ContainerEngine = host.engine) {
  const places = { taskLogs: join(host.folder, 'state/task-logs'), outputs: join(host.folder, 'state/jobs') };
  const sources = explainSources({ engine, journal: undefined, ...places });
  const explanation = await explain(id, sources, AbortSignal.timeout(100_000));
  expect(judge(Explanation, explanation).ok).toBe(true);
  const text = explanationText(explanation);
  expect(text.split('\n').at(-1)).toBe(`What to do next: ${explanation.next}`);
  return { explanation, text };
}

/** What `node-agent logs` shows, although the container is gone. */
async function outputOf(id: string): Promise<string[]> {
  const sources = openLogSources({ engine: host.engine, taskLogs: join(host.folder, 'state/task-logs') });
  const options = { follow: false, signal: AbortSignal.timeout(100_000) };
  const items = await Array.fromAsync(sources.read({ kind: 'instance', id }, options));
  return items.map((item) => ('gap' in item ? '…' : item.data.toString()));
}

interface Failed {
  readonly result: TaskResult;
  readonly instance: string;
  readonly taskId: string;
}

async function launch(over: Partial<LaunchParams>, options: EnvelopeOptions = {}, reference = tiny): Promise<Failed> {
  const params = host.launchParams(reference, over);
  const taskId = randomUUID();
  const result = await host.run('workload.oci_launch', params, { taskId, ...options });
  return { result, taskId, instance: params.identity.app_instance_id };
}

/** Both ways to ask must lead to the same conclusion. */
async function expectExplained({ result, instance, taskId }: Failed, code: string) {
  expect(result.failure?.code).toBe(code);
  const byInstance = await explained(instance);
  const byTask = await explained(taskId);
  for (const { explanation, text } of [byInstance, byTask]) {
    expect(explanation.failure?.code).toBe(code);
    expect(text).toContain(`[${code}]`);
    expect(text).toContain('workload.oci_launch was asked for.');
    expect(text).toContain('0.0625 GiB of memory');
  }
  expect(byTask.explanation.next).toBe(byInstance.explanation.next);
  return byInstance;
}

const never = [{ type: 'exec' as const, command: ['/bin/false'], timeout_seconds: 2 }];

describe('explain, after a launch that failed because', () => {
  it('a package does not exist: names it', async () => {
    const reference = await host.image('python');
    const failed = await launch(
      { python_packages: ['no-such-thing==9'], env: { PIP_NO_INDEX: '1' }, entrypoint: ['/bin/sh', '-c'] },
      {},
      reference,
    );

    const { text, explanation } = await expectExplained(failed, 'packages.failed');

    expect(text).toContain('packages no-such-thing==9');
    expect(text).toMatch(/agent +! The workload was installing packages\./);
    expect(explanation.next).toContain('`no-such-thing==9`');
  });

  it('it used more memory than it may: says what the kernel did, and how much more to give', async () => {
    const failed = await launch({
      command: [endsForItsMemory],
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });

    const { explanation, text } = await expectExplained(failed, 'container.oom_killed');

    expect(explanation.next).toContain('more than 0.06 GiB of memory, 0.13 to begin with');
    if (!text.includes('The kernel log may not be read')) {
      expect(text).toMatch(/kernel +! The kernel killed \w+ \(process \d+\): the container was at its memory limit\./);
    }
  });

  it('its command ended at once: with its exit code in words and what it said', async () => {
    const failed = await launch({ command: ['echo I cannot find my model >&2; exit 3'] });

    const { text, explanation } = await expectExplained(failed, 'container.exited');

    expect(text).toContain('exit code 3: it ended with an error of its own');
    expect(text).toContain('I cannot find my model');
    expect(explanation.next).toContain(`node-agent logs ${failed.instance}`);
    expect(await outputOf(failed.instance)).toEqual(['I cannot find my model']);
  });

  it('it did its work and ended: says that a workload must keep running', async () => {
    const failed = await launch({ command: ['echo done'] });

    const { explanation } = await expectExplained(failed, 'container.exited');

    expect(explanation.next).toContain('a command that keeps running');
  });

  it('its port is taken: says which, and how to find who has it (FAULTS 23)', async () => {
    const port = await freePort();
    holder = createServer().listen(port, '127.0.0.1');
    await once(holder, 'listening');
    const ports = [{ name: 'web', container_port: 80, host_port: port, protocol: 'tcp' as const }];

    const { text, explanation } = await expectExplained(await launch({ ports }), 'port.conflict');

    expect(text).toContain(`ports web 127.0.0.1:${port} to 80`);
    expect(text).toContain('was refused before anything was done');
    expect(explanation.next).toContain(`ss -ltnp 'sport = :${port}'`);
  });

  it('it did not get ready in time: with the last answer and where the time went', async () => {
    const failed = await launch({ command: ['echo waiting for a licence; sleep 300'], readiness: never });

    const { text } = await expectExplained(failed, 'readiness.timed_out');

    expect(text).toContain('waiting for a licence');
    expect(text).toMatch(/The workload was probing\. {2}\(\d+(\.\d)? s\)/);
    expect(text).toMatch(/time: pulling .*probing \d+(\.\d)? s; \d.* in all/);
  });

  it('its image is not there: says which one', async () => {
    const reference = `${tiny.slice(0, tiny.indexOf('@'))}@sha256:${'0'.repeat(64)}`;

    const { explanation } = await expectExplained(await launch({}, {}, reference), 'image.not_found');

    expect(explanation.next).toContain('0000000000');
  });

  it('a folder of its data is a link: says which, and does not follow it', async () => {
    const params = host.launchParams(tiny, {
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    });
    const instance = params.identity.app_instance_id;
    const folder = join(host.policy.allocation.home, 'gpuaas/workloads', instance);
    mkdirSync(dirname(folder), { recursive: true });
    symlinkSync('/etc', folder);
    const taskId = randomUUID();
    const result = await host.run('workload.oci_launch', params, { taskId });

    const { explanation } = await expectExplained({ result, instance, taskId }, 'mount.refused');

    expect(explanation.next).toContain('no link');
  });

  it('somebody cancelled it: says that this is all there is to it', async () => {
    const cancel = new AbortController();
    const failed = await launch(
      { readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }] },
      { cancel: cancel.signal, onEvent: ({ phase }) => phase === 'probing' && cancel.abort(new Error('not wanted')) },
    );

    const { text, explanation } = await expectExplained(failed, 'task.cancelled');

    expect(text).toContain('The launch was cancelled');
    expect(explanation.next).toMatch(/^Nothing: somebody asked for it\./);
  });

  it('it ran out of the time of the task: names the phase that took it', async () => {
    const failed = await launch(
      { readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }] },
      // Enough to get as far as probing, however busy the machine is.
      { deadlineSeconds: 15 },
    );

    const { explanation } = await expectExplained(failed, 'task.timed_out');

    expect(explanation.next).toContain('why probing took so long');
  });

  it('a newer task had its way: says that nothing may have to be done', async () => {
    const params = host.launchParams(tiny, {});
    const instance = params.identity.app_instance_id;
    await host.run('workload.oci_launch', params, { fencing: 1000 });
    const taskId = randomUUID();
    const result = await host.run('workload.oci_launch', params, { fencing: 5, taskId });
    expect(result.failure?.code).toBe('task.stale');

    const { explanation, text } = await explained(instance);

    expect(explanation.state).toBe('running');
    expect(text).toContain('[task.stale]');
    expect(explanation.next).toContain('if the newer task (fencing 1000) is what you want');
  });
});

describe('explain, of an instance', () => {
  it('that runs: tells how it came about, in order, with the engine’s own times, and that nothing is to be done', async () => {
    const { instance } = await launch({});

    const { explanation, text } = await explained(instance);

    expect(explanation).toMatchObject({ state: 'running', failure: null });
    const times = explanation.timeline.map(({ time }) => Date.parse(time));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(text).toMatch(/engine + {2}The container was started\./);
    expect(explanation.next).toMatch(/^Nothing: it runs\./);
  });

  it('while the engine is away: says that nobody can tell, and tells what is known (FAULTS 16)', async () => {
    const { instance } = await launch({});
    const engine = openDockerEngine({ socketPath: join(host.folder, 'nobody.sock') });

    const { explanation, text } = await explained(instance, engine);

    expect(explanation).toMatchObject({ state: 'unknown', failure: { code: 'engine.unavailable' } });
    expect(text).toContain('The workload is running.');
    expect(text).toContain('note: The engine could not be asked');
    expect(explanation.next).toContain('systemctl status docker');
  });

  it('that ended after its launch: says how, by the engine’s own clock', async () => {
    const { instance } = await launch({ command: ['while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 9'] });
    const signal = AbortSignal.timeout(60_000);
    await host.engine.exec(`gpuaas-${instance}`, ['touch', '/tmp/end'], { signal });
    await host.engine.wait(`gpuaas-${instance}`, signal);

    const { explanation, text } = await explained(instance);

    expect(explanation).toMatchObject({ state: 'failed', failure: { code: 'container.exited' } });
    expect(text).toMatch(/engine + ! The container ended with exit code 9/);
  });

  it('that nobody knows is explain.unknown', async () => {
    await expect(explained('nobody-has-heard-of-this')).rejects.toMatchObject({ code: 'explain.unknown' });
  });
});
