/** `DELETE /gpuaas/v1/workloads/{instance}/data`: what an instance leaves on the host besides its containers. */
import { existsSync } from 'node:fs';
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import { workloadRoot } from '../policy/host-policy.ts';
import { sendJson } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import { instanceLock } from './locks.ts';
import { removeTree } from './remove-tree.ts';
import { removeAllSecrets } from './secrets.ts';

/** Secrets always, scratch folders with `data=1`; answers which folders are gone and which stay. Nothing is no error. */
export async function removeData(call: GateCall, gate: GateContext): Promise<void> {
  const instance = call.params['instance'] ?? '';
  const withData = ['1', 'true'].includes((call.query['data'] ?? '').toLowerCase());
  const answer = await gate.locks.run(instanceLock(instance), async () => {
    if (withData) await refuseWhileUsed(instance, gate, call.signal);
    const { policy } = gate;
    const gone = await removeAllSecrets(instance, policy, call.signal);
    const data = workloadRoot(policy, instance);
    if (withData && (await removeTree(data, { signal: call.signal }))) gone.push(data);
    return { removed: gone, kept: existsSync(data) ? [data] : [] };
  });
  sendJson(call.response, 200, answer);
}

/** Folders are not pulled away from under a container that has them mounted. */
async function refuseWhileUsed(instance: string, gate: GateContext, signal: AbortSignal): Promise<void> {
  const [user] = await gate.containers.list([`${labels.instance}=${instance}`], signal);
  if (user !== undefined) {
    const error = { path: '?data', code: 'in_use', message: 'the container still exists; remove it first' };
    throw new AgentError('policy.refused', { container: user.name, errors: [error] });
  }
}
