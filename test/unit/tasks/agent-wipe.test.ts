import { describe, expect, it } from 'vitest';
import { AgentWipeOutput } from '../../../src/contract/agent-wipe.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { wipeAgent } from '../../../src/tasks/agent-wipe.ts';
import { containerFacts, recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const name = 'gpuaas-notebook-1';

/** A host with a container that nobody asked to be removed, and data of it and of another instance. */
function used() {
  const world = recordingEngine({});
  world.containers.set(name, containerFacts({ name, labels: { [labels.instance]: 'notebook-1' } }));
  world.data.add('notebook-1').add('notebook-2');
  return world;
}

describe('the end of an allocation', () => {
  it('takes everything away, containers first, and names it', async () => {
    const { engine, calls, data } = used();

    const output = await wipeAgent({}, taskContext(engine).context);

    expect(calls.filter((call) => call.startsWith('remove') || call.startsWith('wipe'))).toEqual([
      `remove ${name}`,
      'wipe',
    ]);
    expect(data.size).toBe(0);
    expect(output).toEqual({
      containers: 1,
      removed: ['/home/tenant/gpuaas/workloads/notebook-1', '/home/tenant/gpuaas/workloads/notebook-2'],
      kept: [],
    });
    expect(judge(AgentWipeOutput, output).ok).toBe(true);
  });

  it('finds nothing when asked again, which is no failure', async () => {
    const { engine } = used();
    await wipeAgent({}, taskContext(engine).context);

    expect(await wipeAgent({}, taskContext(engine).context)).toEqual({ containers: 0, removed: [], kept: [] });
  });

  it('names a thousand folders at most, and takes all of them away', async () => {
    const { engine, data } = used();
    for (let number = 0; number < 1500; number += 1) data.add(`old-${number}`);

    const output = await wipeAgent({}, taskContext(engine).context);

    expect(output.removed).toHaveLength(1000);
    expect([data.size, judge(AgentWipeOutput, output).ok]).toEqual([0, true]);
  });

  it('goes on after a call that had no time for all of it', async () => {
    const { engine } = used();
    let calls = 0;
    const slow = {
      ...engine,
      wipe: async (signal: AbortSignal) => {
        calls += 1;
        if (calls === 1) throw new AgentError('engine.timed_out');
        return await engine.wipe(signal);
      },
    };

    expect((await wipeAgent({}, taskContext(slow).context)).removed).toHaveLength(2);
  });

  it('fails where a container does not go, and then keeps the data that it has mounted', async () => {
    const { engine, data } = used();
    const stuck = { ...engine, remove: () => Promise.reject(new AgentError('engine.failed')) };

    await expect(wipeAgent({}, taskContext(stuck).context)).rejects.toMatchObject({ code: 'engine.failed' });
    expect(data.size).toBe(2);
  });
});
