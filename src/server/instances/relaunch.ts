/**
 * Launches an instance anew of which nothing is left on its host: the same instance with its values, ports and secrets,
 * under a new task of a higher fencing. Everything that stands against a launch stands against this one.
 */
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';
import { refusal, refused } from '../launch/refusal.ts';
import { admit } from './create-instance.ts';
import { change } from './instance-states.ts';
import { askNode, deploy, type Launching, requestOf } from './launching.ts';

export async function relaunch(
  tx: Tx,
  { queue, environment }: Launching,
  cause: Cause,
  instance: AppInstance,
): Promise<AppInstance> {
  const { project_id: projectId, id } = instance;
  const { now } = cause;
  const asked = { request: requestOf(instance), projectId, now };
  const { launch, node, isReady } = await admit(tx, environment, asked, id);
  if (node.id !== instance.node_id) {
    const reason = 'Its host was replaced, and its secrets were sealed for that one. Launch the app as a new instance.';
    throw refused([refusal('launch.node_unavailable', '', reason)]);
  }
  const again = await change(tx, instance, {
    ...{ to: 'requested', reason: 'It is launched anew.', actor: cause.who.actor, at: now },
    set: { trace_id: cause.correlationId, desired: 'running', failure: null, cleanup: null, current_task_id: null },
  });
  return isReady ? deploy(tx, queue, again, launch, now) : askNode(tx, queue, again, node);
}
