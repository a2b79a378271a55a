import { afterEach, describe, expect, it } from 'vitest';
import type { KeptWorkload } from '../../../../src/agent/journal/journal.ts';
import { labels } from '../../../../src/contract/names.ts';
import { keptStack, keptWorkload } from '../../../support/kept-workloads.ts';
import { containerFacts } from '../../../support/recording-engine.ts';
import { stops, supervise } from '../../../support/supervised.ts';
import { launchParams } from '../../../support/task-bench.ts';

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

/** A workload with the two cards, of which a test says how they are. */
async function withCards(row: KeptWorkload, service: string | null = null, status = 'running') {
  const sick = new Map<string, string>();
  const gone = new Set<string>();
  const held = ['GPU-2', 'GPU-1'].map((uuid) => ({ uuid, service }));
  const of = { ...containerFacts().labels, [labels.instance]: 'stack-1' };
  const services = ['web', 'db'].map((name) => containerFacts({ name: `gpuaas-stack-1.${name}`, labels: of }));
  const world = await supervise(
    [row],
    row.stack ? services : [containerFacts({ status, exitCode: 0 })],
    {},
    {
      cardHealth: {
        heldBy: (id) => (id === row.workload_id ? held : []),
        unhealthy: () => sick,
        vanished: () => gone,
      },
    },
  );
  return {
    ...world,
    see: (cards: Record<string, string>, vanished: readonly string[] = []) => {
      sick.clear();
      gone.clear();
      for (const [uuid, reason] of Object.entries(cards)) {
        sick.set(uuid, reason);
      }
      for (const uuid of vanished) {
        gone.add(uuid);
      }
      world.supervisor.cardsChanged();
    },
    state: () => world.supervisor.workloads()[0]?.state,
  };
}

describe('a workload whose card is not well', () => {
  it('is degraded with the cause until the card is well, and nothing is done to it (FAULTS 30)', async () => {
    const world = await withCards(keptWorkload());

    world.see({ 'GPU-1': 'Xid 79: it fell off the bus.' });
    const during = world.state();
    world.see({});

    expect([during, world.state()]).toEqual(['degraded', 'running']);
    expect(world.said()).toEqual(['gpu.unhealthy degraded', 'gpu.recovered running']);
    expect(world.events[0]).toMatchObject({
      failure: { code: 'gpu.unhealthy', detail: { gpus: ['GPU-1'] } },
      event: { values: { gpus: ['GPU-1'] } },
    });
    expect(world.events[0]?.failure?.message).toContain('Xid 79');
    expect(world.calls.filter((call) => /^(start|stop|remove) /.test(call))).toEqual([]);
  });

  it('is told once of each card, over looks and over restarts of the agent', async () => {
    const world = await withCards(keptWorkload());
    world.see({ 'GPU-1': 'the driver hangs' });
    await world.clock.advance(600_000);
    world.see({ 'GPU-1': 'the driver hangs still' });
    world.see({ 'GPU-1': 'the driver hangs still', 'GPU-2': 'it is gone' });
    const before = world.events.length;

    const again = await withCards(world.row() as KeptWorkload);
    again.see({ 'GPU-1': 'the driver hangs still', 'GPU-2': 'it is gone' });

    expect(world.said()).toEqual(['gpu.unhealthy degraded', 'gpu.unhealthy']);
    expect(before).toBe(2);
    expect(again.events.slice(before)).toEqual([]);
  });

  it('says which cards it holds', async () => {
    const world = await withCards(keptWorkload());

    expect(world.supervisor.workloads()).toMatchObject([{ gpus: ['GPU-1', 'GPU-2'] }]);
  });

  it('is degraded as long as its container has lost the card, though the card is back', async () => {
    const world = await withCards(keptWorkload());

    world.see({ 'GPU-1': 'The driver does not list it any more.' }, ['GPU-1']);
    world.see({});
    const back = world.state();
    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    expect([back, world.state()]).toEqual(['degraded', 'running']);
    expect(world.events[0]?.failure?.hint).toContain('restart or relaunch the workload');
  });

  it('does not count as running again because its container does', async () => {
    const world = await withCards(keptWorkload());
    world.see({ 'GPU-1': 'the driver hangs' });

    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    expect(world.state()).toBe('degraded');
    expect(world.said()).toEqual([
      ...['gpu.unhealthy degraded', 'container.exited', 'workload.restarted', 'workload.running'],
    ]);
  });

  it('that does not run is told nothing', async () => {
    const world = await withCards(keptWorkload({ desired: 'stopped', state: 'stopped' }), null, 'exited');

    world.see({ 'GPU-1': 'the driver hangs' });

    expect(world.said().filter((said) => said.startsWith('gpu'))).toEqual([]);
  });

  it('is left to a task that is at work, and looked at behind it', async () => {
    const world = await withCards(keptWorkload({ params: launchParams() }));
    const occupation = { project_id: 'project-7', allocation_id: 'alloc-1', fencing: 2 };

    const resume = await world.supervisor.standAside('notebook-1', occupation);
    world.see({ 'GPU-1': 'the driver hangs' });
    const during = world.said();
    resume();

    expect([during, world.said()]).toEqual([[], ['gpu.unhealthy degraded']]);
  });
});

it('of a stack it is said which service holds the card, and only its restart has it back', async () => {
  const world = await withCards(keptStack(), 'web');
  const stack = () => world.rows.get('stack-1');

  world.see({ 'GPU-1': 'gone' }, ['GPU-1']);
  world.see({});
  await world.end({ exitCode: 1 }, 'gpuaas-stack-1.db');
  await world.clock.advance(1000);
  await expect.poll(() => stack()?.state).toBe('running');
  const without = world.state();
  await world.end({ exitCode: 1 }, 'gpuaas-stack-1.web');
  await world.clock.advance(1000);
  await expect.poll(() => stack()?.state).toBe('running');

  expect([without, world.state()]).toEqual(['degraded', 'running']);
  expect(world.events[0]?.event.message).toBe('A card of the workload is not well. GPU-1 of the service web: gone');
});
