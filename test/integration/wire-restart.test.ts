/**
 * Either side of the wire is killed while something goes on: nothing is lost, nothing is done twice, and whoever follows
 * logs or events sees no seam (FAULTS 1, 2, 5, 11 to 14, 34, 36).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/daemon-ground.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;

beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

/** A command that follows something, with the lines that it has printed so far. */
function follow(...args: readonly string[]) {
  const command: RunningTask = wire.member.cli('apps', 'instances', ...args);
  let printed = '';
  command.child.stdout?.on('data', (text: string) => {
    printed += text;
  });
  return {
    lines: () => printed.split('\n').slice(0, -1),
    ended: command.ended,
    end: async () => {
      command.child.kill('SIGINT');
      return await command.ended;
    },
  };
}

/** How often the workload has begun to count. */
const lives = (lines: readonly string[]) => lines.filter((line) => line === 'line 1').length;
const numbers = (lines: readonly string[]) => lines.map((line) => Number(line.replace('line ', '')));
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

// First in this file: a host that was never asked has to be asked.
it('a launch that asks its host what it can run waits for a gate that is restarted meanwhile (FAULTS 36)', async () => {
  await wire.gate.stop('SIGKILL');

  const { id, state } = await wire.launch();
  await until(async () => {
    const metrics: string = (await wire.admin.call('GET', '/metrics')).body;
    return metrics.includes('gpuaas_things{kind="task",state="accepted"} 1');
  }, 'the question');
  await wire.gate.start();

  expect(state).toBe('requested');
  await wire.reaches(id, 'running');
});

describe('logs that are followed', () => {
  it.each(['server', 'agent', 'gate'] as const)(
    'go on over a kill of the %s, without gap or repetition',
    async (side) => {
      const { id } = await wire.launch();
      await wire.reaches(id, 'running');
      const logs = follow('logs', '-f', id);
      await until(() => logs.lines().length > 5, 'the first lines');

      await wire[side].stop('SIGKILL');
      await wire[side].start();
      const before = logs.lines().length;
      await until(() => logs.lines().length > before + 20, 'lines after the kill');

      const { stderr } = await logs.end();
      expect(numbers(logs.lines())).toEqual(upTo(logs.lines().length));
      expect(stderr).not.toContain('missing');
    },
  );

  it('go on over restarts of the workload, its own and one that was asked for, and end when it is stopped', async () => {
    const { id } = await wire.launch();
    const logs = follow('logs', '-f', id);
    await until(() => logs.lines().length > 5, 'the first lines, of a launch that was followed from its beginning');

    process.kill((await wire.inspect(id)).State.Pid, 'SIGKILL');
    await until(() => lives(logs.lines()) === 2, 'lines after the end of its process');
    await wire.reaches(id, 'running');
    expect((await wire.member.cli('apps', 'instances', 'restart', id).ended).code).toBe(0);
    await until(() => lives(logs.lines()) === 3, 'lines after the restart');
    expect((await wire.member.cli('apps', 'instances', 'stop', id).ended).code).toBe(0);
    const { code, stderr, stdout } = await logs.ended;

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe((await wire.member.cli('apps', 'instances', 'logs', id).ended).stdout);
  });

  it('can be read after the workload has stopped', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    const read = () => wire.member.cli('apps', 'instances', 'logs', id).ended;
    await until(async () => (await read()).stdout.includes('line 2\n'), 'the first lines');
    await wire.member.cli('apps', 'instances', 'stop', id).ended;

    const { code, stdout } = await read();

    expect(code).toBe(0);
    expect(stdout).toMatch(/^line 1\nline 2\n/);
  });
});

describe('events that are followed', () => {
  it.each(['server', 'agent'] as const)(
    'go on over a kill of the %s, each once and in order (FAULTS 2)',
    async (side) => {
      const { id } = await wire.launch();
      await wire.reaches(id, 'running');
      const events = follow('events', '-f', id, '--json');
      await until(() => events.lines().some((line) => line.includes('apps.instance.running')), 'the first events');

      await wire[side].stop('SIGKILL');
      await wire[side].start();
      await until(async () => (await wire.member.cli('apps', 'instances', 'stop', id).ended).code === 0, 'the stop');
      await until(() => events.lines().some((line) => line.includes('apps.instance.stopped')), 'events after the kill');

      await events.end();
      const followed = events.lines().map((line) => JSON.parse(line).seq);
      const { items } = (await wire.member.call('GET', `/api/v1/app-instances/${id}/events`)).body;
      expect(followed).toEqual(items.map(({ seq }: { seq: number }) => seq).slice(0, followed.length));
      expect(items.at(followed.length - 1).type).toBe('apps.instance.stopped');
    },
  );
});

describe('a launch in the middle of which', () => {
  it('the control plane is killed ends up running, with one container (FAULTS 34)', async () => {
    const { id } = await wire.launch({ wait_seconds: 3 });
    await until(async () => (await wire.containers(id)).length === 1, 'the container');

    await wire.server.stop('SIGKILL');
    await wire.server.start();

    await wire.reaches(id, 'running');
    expect(await wire.containers(id)).toHaveLength(1);
  });

  it('the control plane is killed just after it was accepted ends up running (FAULTS 34)', async () => {
    const { id } = await wire.launch();

    await wire.server.stop('SIGKILL');
    await wire.server.start();

    await wire.reaches(id, 'running');
    expect(await wire.containers(id)).toHaveLength(1);
  });

  it('the control plane is away while it comes to its end is reported when it is back (FAULTS 1)', async () => {
    const { id } = await wire.launch({ wait_seconds: 2 });
    const { host_port: port } = (await wire.instance(id)).config;
    await until(async () => (await wire.containers(id)).length === 1, 'the container');
    await wire.server.stop('SIGKILL');
    await until(async () => (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined))?.ok === true, 'the page');

    await wire.server.start();

    const { history } = await wire.reaches(id, 'running');
    expect(history.filter(({ state }: { state: string }) => state === 'running')).toHaveLength(1);
  });

  it('the control plane is killed is one instance, also if its answer to the command was lost (X-9)', async () => {
    const known = async () => (await wire.member.call('GET', '/api/v1/app-instances')).body.items.length;
    const before = await known();
    const { config } = await wire.request();
    const port = `host_port=${(config as { host_port: number }).host_port}`;

    const launch = wire.member.cli(
      'apps',
      'instances',
      'launch',
      'web',
      '--allocation',
      wire.allocationId,
      '--set',
      port,
    );
    await until(async () => (await known()) > before, 'the instance');
    await wire.server.stop('SIGKILL');
    await wire.server.start();

    const { code, stdout } = await launch.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/\?token=[0-9a-f]{48}/);
    expect(await known()).toBe(before + 1);
  });

  it('the agent is killed ends up running, with the container that it had (FAULTS 12 to 14)', async () => {
    const { id } = await wire.launch({ wait_seconds: 3 });
    await until(async () => (await wire.containers(id))[0]?.State === 'running', 'the container');
    const [before] = await wire.containers(id);

    await wire.agent.stop('SIGKILL');
    await wire.agent.start();

    await wire.reaches(id, 'running');
    expect((await wire.containers(id)).map(({ Id }) => Id)).toEqual([before?.Id]);
  });

  it('the gate is killed ends up running, with one container (FAULTS 36)', async () => {
    const { id } = await wire.launch({ wait_seconds: 3 });
    await until(async () => (await wire.containers(id)).length === 1, 'the container');

    await wire.gate.stop('SIGKILL');
    await wire.gate.start();

    await wire.reaches(id, 'running');
    expect(await wire.containers(id)).toHaveLength(1);
  });
});

describe('a host that is away', () => {
  it('makes what runs there unknown, and running again when it is back; nothing of it was touched', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    const { Id, State } = await wire.inspect(id);

    await wire.agent.stop('SIGKILL');
    await wire.reaches(id, 'unknown');
    const refused = await wire.member.cli('apps', 'instances', 'stop', id).ended;
    await wire.agent.start();
    await wire.reaches(id, 'running');

    expect(refused.code).toBe(3);
    const after = await wire.inspect(id);
    expect([after.Id, after.State.Pid]).toEqual([Id, State.Pid]);
  });

  it('and whose workload dies meanwhile tells it when it is back', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    const { State } = await wire.inspect(id);
    await wire.agent.stop('SIGKILL');

    process.kill(State.Pid, 'SIGKILL');
    await wire.agent.start();

    await until(async () => (await wire.inspect(id)).State.Pid > 0, 'the restart');
    await until(async () => {
      const { items } = (await wire.member.call('GET', `/api/v1/app-instances/${id}/events`)).body;
      return items.some(
        ({ data }: { data: { source?: string } }) => data.source === 'engine' || data.source === 'supervisor',
      );
    }, 'the event');
    await wire.reaches(id, 'running');
  });
});

describe('a gate that is away', () => {
  it('is shown as a host that is not ready, and is why a launch is refused where what is free is not known', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    // Last in this file: with one core there is room for it only where nothing else runs.
    const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
    const shows = async (word: string) =>
      new RegExp(`(?<! not) ${word} `).test((await wire.admin.cli('nodes', 'list').ended).stdout);

    await wire.gate.stop('SIGKILL');
    await wire.reaches(id, 'unknown');
    await until(() => shows('not ready'), 'the host to be shown as not ready');
    await wire.admin.call('PATCH', `/api/v1/allocations/${wire.allocationId}`, { shape });
    const { body } = await wire.member.call('POST', '/api/v1/app-instances', await wire.request({ cpu_cores: 1 }));
    await wire.gate.start();
    await until(() => shows('ready'), 'the host to be shown as ready');

    expect(body.error.errors).toEqual([
      expect.objectContaining({
        code: 'launch.runtime_not_ready',
        message: expect.stringMatching(/gate/i),
      }),
    ]);
    await wire.reaches(id, 'running');
  });
});
