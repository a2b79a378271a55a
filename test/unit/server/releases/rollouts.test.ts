/** How a rollout goes on, on a real store with time in the hands of the test. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { from, RolloutGround, version } from '../../../support/rollout-ground.ts';
import { aStoredRelease } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

let ground: RolloutGround;
beforeEach(() => {
  ground = new RolloutGround(temporaryFolder('rollout'));
});
afterEach(() => ground.store.close());

/** Canaries through, waited for. */
async function canariesThrough(...canaries: string[]): Promise<void> {
  await ground.tick();
  for (const id of canaries) await ground.ends(id, 'committed');
  await ground.tick();
  await ground.tick(600);
}

describe('a rollout', () => {
  it('begins with its canaries, waits for what becomes of them, and then goes to the rest, so many at a time', async () => {
    await ground.begin(6, 1);

    await ground.tick();
    const first = await ground.states();
    await ground.ends('n0', 'committed');
    await ground.tick(599);
    await ground.tick(0);
    const waiting = [(await ground.rollout()).stage, await ground.states()];
    await ground.tick(600);
    const rest = await ground.states();
    await ground.ends('n1', 'committed');
    await ground.tick();

    expect(first).toBe('updating pending pending pending pending pending');
    expect(waiting).toEqual(['waiting', 'committed pending pending pending pending pending']);
    expect(rest).toBe('committed updating updating pending pending pending');
    expect(await ground.states()).toBe('committed committed updating updating pending pending');
  });

  it('is over when all run it, and says each step', async () => {
    await ground.begin(2, 1);
    await canariesThrough('n0');

    await ground.ends('n1', 'committed');
    await ground.tick();

    expect(await ground.rollout()).toMatchObject({ state: 'completed', ended_at: expect.any(String) });
    expect(await ground.told()).toEqual([
      ...['rollout.node', 'rollout.stage', 'rollout.stage', 'rollout.node', 'rollout.stage', 'rollout.completed'],
    ]);
  });

  it.each([
    ['a canary', 1, 'n0'],
    ['one of the rest', 0, 'n1'],
  ])(
    'is paused by the first roll back, of %s; those that are at it go on, and nobody else begins',
    async (_, canaries, id) => {
      await ground.begin(5, canaries, { parallel: 2 });
      await ground.tick();

      await ground.accept('n0');
      await ground.ends(id, 'update.rolled_back');
      await ground.tick(3600);
      const { state, reason } = await ground.rollout();
      if (canaries === 0) await ground.ends('n0', 'committed');
      await ground.tick();

      expect([state, reason]).toEqual(['paused', expect.stringMatching(/^host-\d was rolled back: /)]);
      expect(await ground.open()).toEqual([]);
      expect((await ground.told()).at(canaries === 0 ? -2 : -1)).toBe('rollout.paused');
      expect(await ground.node(id)).toMatchObject({ update: { state: 'rolled_back', phase: 'rolled_back', version } });
    },
  );

  it('goes on when it is resumed, without whoever was rolled back', async () => {
    await ground.begin(3, 0, { parallel: 1 });
    await ground.tick();
    await ground.ends('n0', 'update.rolled_back');

    await ground.resume();
    await ground.tick();

    expect(await ground.states()).toBe('rolled_back updating pending');
  });

  it('does not go on where no canary runs it, resumed or not', async () => {
    await ground.begin(3, 1);
    await ground.tick();
    await ground.ends('n0', 'update.rolled_back');

    await ground.resume();
    await ground.tick();

    expect(await ground.rollout()).toMatchObject({
      state: 'paused',
      stage: 'canaries',
      reason: expect.stringContaining('No canary'),
    });
    expect(await ground.open()).toEqual([]);
  });

  it('is paused where a canary runs the old version again while it is waited for', async () => {
    await ground.begin(2, 1);
    await ground.tick();
    await ground.ends('n0', 'committed');
    await ground.tick();

    await ground.says('n0', from);
    await ground.tick(10);

    expect(await ground.rollout()).toMatchObject({ state: 'paused', stage: 'waiting' });
  });
});

describe('a node', () => {
  it('that is away gets it when it comes, and is not waited for', async () => {
    await ground.begin(3, 1);
    ground.connected.delete('n2');
    await canariesThrough('n0');
    await ground.ends('n1', 'committed');
    await ground.tick();
    const before = [(await ground.rollout()).stage, await ground.states()];

    ground.connected.add('n2');
    await ground.tick();
    await ground.ends('n2', 'committed');
    await ground.tick();

    expect(before).toEqual(['stragglers', 'committed committed pending']);
    expect((await ground.rollout()).state).toBe('completed');
  });

  it('that is a canary and away is waited for', async () => {
    await ground.begin(2, 1);
    ground.connected.delete('n0');

    await ground.tick(7200);

    expect([(await ground.rollout()).stage, await ground.states()]).toEqual(['canaries', 'pending pending']);
  });

  it('does not count as away while it may be coming back to a control plane that was started', async () => {
    await ground.begin(2, 0);
    await ground.restart();

    await ground.tick(0, false);
    const early = (await ground.rollout()).stage;
    await ground.tick(60, true);

    expect([early, (await ground.rollout()).stage]).toEqual(['rest', 'stragglers']);
  });

  it.each(['update.pinned', 'update.skipped', 'task.unsupported'] as const)(
    'that its operator keeps from it (%s) is told so, and holds up nobody',
    async (code) => {
      await ground.begin(2, 0);
      await ground.tick();

      await ground.ends('n0', code);
      await ground.ends('n1', 'committed');
      await ground.tick();

      expect(await ground.states()).toBe('held committed');
      expect((await ground.rollout()).state).toBe('completed');
      expect((await ground.node('n0')).update).toMatchObject({ state: 'held', failure: { code } });
    },
  );

  it('that is out of its window is asked again later', async () => {
    await ground.begin(1, 0);
    await ground.tick();
    await ground.ends('n0', 'update.held');
    await ground.tick(14 * 60);
    const early = [(await ground.rollout()).stage, await ground.states()];

    await ground.tick(60);
    await ground.ends('n0', 'committed');
    await ground.tick();

    expect(early).toEqual(['stragglers', 'held']);
    expect((await ground.rollout()).state).toBe('completed');
  });

  it('that has trouble of its own stops nobody, and is asked again later', async () => {
    await ground.begin(2, 0);
    await ground.tick();
    await ground.ends('n0', 'disk.full');
    await ground.tick();
    const early = [(await ground.rollout()).state, await ground.states()];

    await ground.tick(15 * 60);

    expect(early).toEqual(['running', 'pending updating']);
    expect(await ground.states()).toBe('updating updating');
  });

  it('on which the new version does not work stops the rollout, also where nothing was changed', async () => {
    await ground.begin(3, 0, { parallel: 1 });
    await ground.tick();

    await ground.ends('n0', 'update.unfit');

    expect(await ground.rollout()).toMatchObject({ state: 'paused' });
  });

  it.each([
    ['update.damaged', 'pending'],
    ['update.failed', 'pending'],
    ['internal', 'failed'],
  ] as const)(
    'that ends with %s stops nobody; a second one does, since it is hardly both of their disks',
    async (code, state) => {
      await ground.begin(4, 0);
      await ground.tick();
      await ground.ends('n0', code);
      await ground.tick();
      const early = [(await ground.rollout()).state, await ground.states()];

      await ground.ends('n1', code);
      await ground.tick(3600);

      expect(early).toEqual(['running', `${state} updating updating pending`]);
      expect(await ground.rollout()).toMatchObject({
        state: 'paused',
        reason: expect.stringMatching(/^host-1 .* So it was on host-0\.$/),
      });
      expect(await ground.open()).toEqual([]);
    },
  );

  it('that gets a damaged file again is asked again, and stops nobody alone; resumed, each counts anew', async () => {
    await ground.begin(3, 0, { parallel: 1 });
    await ground.tick();
    await ground.ends('n0', 'update.damaged');
    await ground.tick();
    await ground.ends('n1', 'committed');
    await ground.tick();
    await ground.ends('n2', 'update.damaged');
    const paused = await ground.rollout();
    await ground.resume();
    await ground.tick();
    await ground.ends('n0', 'update.damaged');
    await ground.tick(15 * 60);

    expect(paused).toMatchObject({ state: 'paused', reason: expect.stringContaining('So it was on host-0') });
    expect([(await ground.rollout()).state, await ground.states()]).toEqual(['running', 'pending committed updating']);
  });

  it.each([
    'update.damaged',
    'update.failed',
    'update.expired',
    'update.untrusted',
    'update.unfit',
    'internal',
  ] as const)('that is a canary and ends with %s pauses the rollout, with the reason', async (code) => {
    await ground.begin(3, 1);
    await ground.tick();

    await ground.ends('n0', code);
    await ground.tick(3600);

    expect(await ground.rollout()).toMatchObject({
      state: 'paused',
      reason: expect.stringMatching(/^host-0 did not take it: ./),
    });
    expect(await ground.states()).toBe('failed pending pending');
  });

  it.each([
    ['stops nobody where only that host thinks so: its clock is wrong', 1, 'running'],
    ['stops the rollout where it has', -1, 'paused'],
  ])('that says the release has expired %s', async (_what, days, state) => {
    await ground.begin(3, 0, { parallel: 1 });
    const expires = new Date(ground.now + days * 24 * 3600 * 1000).toISOString().replace(/\.\d+/, '');
    await ground.store.write((tx) => tx.releases.insert(aStoredRelease({ version, expires })));
    await ground.tick();

    await ground.ends('n0', 'update.expired');

    expect(await ground.rollout()).toMatchObject({ state });
    expect((await ground.nodes())[0]).toMatchObject({ state: 'failed', failure: { code: 'update.expired' } });
  });

  it('that never began, since its task has expired, is asked anew', async () => {
    await ground.begin(1, 0);
    await ground.tick();

    await ground.clock.advance(16 * 60 * 1000);
    await ground.expire();
    const between = await ground.states();
    await ground.tick();

    expect([between, await ground.states()]).toEqual(['pending', 'updating']);
  });

  it('that runs it already, by whoever, counts', async () => {
    await ground.begin(2, 1);
    await ground.says('n0', version);

    await ground.tick();

    expect(await ground.states()).toBe('committed pending');
    expect(await ground.open()).toEqual([]);
  });

  it('that is revoked is gone, at whatever it was', async () => {
    await ground.begin(3, 0, { parallel: 1 });
    await ground.tick();

    await ground.revoke('n0');
    await ground.revoke('n2');
    await ground.tick();

    expect(await ground.states()).toBe('gone updating gone');
    expect((await ground.rollout()).state).toBe('running');
  });

  it('that comes into the channel meanwhile gets it as well', async () => {
    await ground.begin(2, 0);
    await ground.store.write(async (tx) => {
      const node = await tx.nodes.get('n0');
      if (node) await tx.nodes.insert({ ...node, id: 'n7', name: 'host-7' });
    });
    ground.connected.add('n7');
    await ground.tick();

    expect(await ground.states()).toBe('updating updating pending');
  });

  it('says how far it is, each phase once and the bytes as they come', async () => {
    await ground.begin(1, 0);
    await ground.tick();
    await ground.phase('n0', 'checking');
    await ground.phase('n0', 'downloading', { bytes: 10, bytes_total: 100 });
    await ground.phase('n0', 'downloading', { bytes: 50, bytes_total: 100 });
    const during = (await ground.node('n0')).update;
    await ground.phase('n0', 'on_trial');
    await ground.ends('n0', 'committed');
    await ground.phase('n0', 'downloading', { bytes: 60, bytes_total: 100 });

    expect(during).toMatchObject({ state: 'running', phase: 'downloading', bytes: 50, bytes_total: 100, from });
    expect((await ground.node('n0')).update).toMatchObject({ state: 'committed', phase: 'committed', failure: null });
    expect((await ground.node('n0')).update).not.toHaveProperty('bytes');
    expect(await ground.told('n0')).toEqual([
      ...['node.update_queued', ...Array(3).fill('node.update_running'), 'node.update_committed'],
    ]);
  });
});

describe('an operator', () => {
  it('pauses it: what no node has seen yet is called back', async () => {
    await ground.begin(3, 0, { parallel: 2 });
    await ground.tick();
    await ground.accept('n0');

    await ground.pause();
    await ground.tick(3600);

    expect(await ground.states()).toBe('updating pending pending');
  });

  it('cancels it: whoever is at it may still end as either', async () => {
    await ground.begin(3, 0, { parallel: 2 });
    await ground.tick();
    await ground.accept('n0');

    await ground.cancel();
    const asked = (await ground.open()).map(({ node_id, cancel_requested }) => [node_id, cancel_requested]);
    await ground.ends('n0', 'committed');
    await ground.tick(3600);

    expect(asked).toEqual([['n0', true]]);
    expect(await ground.states()).toBe('committed cancelled cancelled');
  });

  it('has failed canaries asked again by resuming it, where that may help', async () => {
    await ground.begin(2, 1);
    await ground.tick();
    await ground.ends('n0', 'disk.full');
    const before = (await ground.rollout()).state;

    await ground.resume();
    await ground.tick();

    expect([before, await ground.states()]).toEqual(['paused', 'updating pending']);
  });
});

it('goes on where it was after a restart at any point', async () => {
  await ground.begin(3, 1);
  await ground.tick();
  await ground.restart();
  await ground.ends('n0', 'committed');
  await ground.restart();
  await ground.tick();
  await ground.restart();
  await ground.clock.advance(600_000);
  for (const id of ['n0', 'n1', 'n2']) ground.connected.add(id);
  await ground.tick();
  await ground.restart();
  await ground.ends('n1', 'committed');
  await ground.ends('n2', 'committed');
  await ground.tick();

  expect([await ground.states(), (await ground.rollout()).state]).toEqual([
    'committed committed committed',
    'completed',
  ]);
});
