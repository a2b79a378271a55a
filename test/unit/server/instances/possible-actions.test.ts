import { describe, expect, it } from 'vitest';
import { instanceStates } from '../../../../src/contract/instance-state.ts';
import { control, decommission } from '../../../../src/server/instances/actions.ts';
import { instanceActions, possibleActions } from '../../../../src/server/instances/possible-actions.ts';
import { environmentOf } from '../../../../src/server/launch/environment.ts';
import { launchBench } from '../../../support/launch-bench.ts';
import { settings } from '../../../support/launch-samples.ts';
import { anInstance } from '../../../support/store-samples.ts';

describe('the actions that an instance offers', () => {
  it.each(instanceStates)('while it is %s are exactly those that change something', async (state) => {
    const { store, queue, running } = await launchBench();
    const { id } = await running();
    const cause = { now: Date.parse('2026-11-25T12:01:00Z'), correlationId: 'trace-2', who: { actor: 'token:1' } };
    const before = await store.write(async (tx) => {
      const instance = await tx.app_instances.get(id);
      if (!instance) throw new Error('no instance');
      const desired = state.startsWith('decommission') ? 'decommissioned' : instance.desired;
      const next = { ...instance, state, desired } as const;
      await tx.app_instances.put(next);
      return next;
    });

    const changing = [];
    for (const action of instanceActions) {
      const launching = { queue, environment: environmentOf(settings) };
      const after = await store
        .write(async (tx) => {
          const changed =
            action === 'decommission'
              ? await decommission(tx, queue, cause, before, true)
              : await control(tx, launching, cause, before, action);
          throw new Undone(changed.state);
        })
        .catch((error) => (error instanceof Undone ? error.message : before.state));
      if (after !== before.state) changing.push(action);
    }

    expect(possibleActions(before)).toEqual(changing);
  });

  it('are a new launch or the end where the launch failed', () => {
    const at = '2026-11-25T10:00:00.000Z';
    const history = (['requested', 'failed'] as const).map((state) => ({ state, at, reason: '' }));

    expect(possibleActions(anInstance({ state: 'failed', history }))).toEqual(['restart', 'decommission']);
  });
});

/** Takes the transaction back, so that each action is asked of the same instance. */
class Undone extends Error {}
