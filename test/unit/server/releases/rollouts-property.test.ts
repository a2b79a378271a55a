/** Whatever happens in whatever order: what a rollout never does, and that it comes to an end. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FailureCode } from '../../../../src/contract/failures.ts';
import { RolloutGround, version } from '../../../support/rollout-ground.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const size = 6;
const outcomes: readonly ('committed' | FailureCode)[] = [
  ...(['committed', 'committed', 'committed', 'update.rolled_back', 'update.pinned', 'update.held'] as const),
  ...(['disk.full', 'update.damaged', 'update.no_artifact', 'internal', 'update.expired'] as const),
];

type Happening = readonly [what: (typeof happenings)[number], node: number, how: number];
const happenings = [
  ...(['tick', 'tick', 'tick', 'wait', 'ends', 'ends', 'ends', 'accept', 'leaves', 'comes'] as const),
  ...(['pause', 'resume', 'cancel', 'restart', 'revoke', 'by hand', 'expire'] as const),
] as const;

const course = fc.record({
  canaries: fc.integer({ min: 0, max: 3 }),
  parallel: fc.integer({ min: 1, max: 3 }),
  happening: fc.array(fc.tuple(fc.constantFrom(...happenings), fc.nat(size - 1), fc.nat(outcomes.length - 1)), {
    minLength: 5,
    maxLength: 40,
  }),
});

/** What is so after each of them. */
async function look(ground: RolloutGround, { canaries, parallel }: { canaries: number; parallel: number }, seen: Seen) {
  const rollout = await ground.rollout();
  const nodes = await ground.nodes();
  const open = (await ground.open()).filter(({ type }) => type === 'agent.self_update');
  const updating = nodes.filter(({ state }) => state === 'updating');

  expect(updating.length).toBeLessThanOrEqual(parallel);
  // Each has its task, and no task is without a node that waits for it.
  expect(updating.map(({ task_id }) => task_id).sort()).toEqual(open.map(({ id }) => id).sort());
  const asked = nodes.filter(({ task_id }) => task_id !== null);
  if (canaries > 0 && ['canaries', 'waiting'].includes(rollout.stage)) {
    expect(asked.filter(({ canary }) => !canary)).toEqual([]);
  }
  // Nobody begins while it is not running, and whoever was rolled back is never asked again.
  const begun = new Set(asked.map(({ task_id }) => task_id as string));
  if (seen.state !== 'running' && rollout.state !== 'running') {
    expect([...begun].filter((id) => !seen.begun.has(id))).toEqual([]);
  }
  for (const { node_id } of updating) expect(seen.rolledBack.has(node_id)).toBe(false);
  for (const { node_id, state } of nodes) if (state === 'rolled_back') seen.rolledBack.add(node_id);
  if (['completed', 'cancelled'].includes(seen.state)) expect(rollout.state).toBe(seen.state);
  Object.assign(seen, { state: rollout.state, begun });
}

interface Seen {
  state: string;
  begun: ReadonlySet<string>;
  readonly rolledBack: Set<string>;
}

async function happen(ground: RolloutGround, [what, index, how]: Happening): Promise<void> {
  const id = `n${index}`;
  const { state, ended_at } = await ground.rollout();
  const isRevoked = (await ground.node(id)).status === 'revoked';
  const hasTask = (await ground.open()).some(({ node_id }) => node_id === id);
  const doing: Record<typeof what, () => unknown> = {
    tick: () => ground.tick(30),
    wait: () => ground.tick(900),
    ends: () => hasTask && ground.ends(id, outcomes[how] ?? 'committed'),
    accept: () => ground.accept(id),
    leaves: () => ground.connected.delete(id),
    comes: () => !isRevoked && ground.connected.add(id),
    pause: () => state === 'running' && ground.pause(),
    resume: () => state === 'paused' && ground.resume(),
    cancel: () => how === 0 && ended_at === null && ground.cancel(),
    restart: () => ground.restart(),
    revoke: () => how < 3 && ground.revoke(id),
    'by hand': () => !hasTask && ground.says(id, version),
    expire: () => ground.expire(),
  };
  await doing[what]();
}

it('keeps its promises in any order of events, and comes to an end', async () => {
  await fc.assert(
    fc.asyncProperty(course, async ({ happening, ...bounds }) => {
      const ground = new RolloutGround(temporaryFolder('rollout-property'));
      const seen: Seen = { state: 'running', begun: new Set(), rolledBack: new Set() };
      try {
        await ground.begin(size, bounds.canaries, { parallel: bounds.parallel });
        for (const each of happening) {
          await happen(ground, each);
          await look(ground, bounds, seen);
        }
        await letItEnd(ground);
      } finally {
        await ground.store.close();
      }
    }),
    { numRuns: 15 },
  );
}, 120_000);

/** From now on every host is there and does what it is asked; an operator resumes what is paused, as long as that helps. */
async function letItEnd(ground: RolloutGround): Promise<void> {
  for (let turn = 0; turn < 60; turn += 1) {
    const { state } = await ground.rollout();
    if (state === 'completed' || state === 'cancelled') break;
    for (const { node_id } of await ground.nodes()) {
      if ((await ground.node(node_id)).status === 'enrolled') ground.connected.add(node_id);
    }
    for (const { node_id } of await ground.open()) await ground.ends(node_id, 'committed');
    if (state === 'paused') await ground.resume();
    await ground.tick(900);
  }
  for (const { node_id } of await ground.open()) await ground.ends(node_id, 'committed');
  const { state, reason } = await ground.rollout();
  const nodes = await ground.nodes();
  const over = ['committed', 'rolled_back', 'failed', 'held', 'gone', 'cancelled'];
  if (state === 'paused') expect(reason).toContain('canary');
  else expect(['completed', 'cancelled']).toContain(state);
  if (state !== 'paused') expect(nodes.filter((each) => !over.includes(each.state))).toEqual([]);
  if (state === 'completed') {
    for (const node of nodes.filter((each) => each.state === 'committed')) {
      expect((await ground.node(node.node_id)).agent_version).toBe(version);
    }
  }
}
