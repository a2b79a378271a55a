/** Calls on one existing container of ours, and the list of them. */
import { AgentError } from '../contract/failures.ts';
import { sendAnswer, sendJson, sendStream } from './answers.ts';
import { onContainer } from './container-call.ts';
import { type GateCall, type GateContext, type Handler, ownDeadlineMs } from './context.ts';
import { containerFilters } from './filters.ts';
import { engineMessage, isOurName, noSuchContainer } from './sealed-containers.ts';
import { removeSecrets } from './secrets.ts';
import type { EngineCall } from './upstream.ts';

export async function inspectContainer(call: GateCall, gate: GateContext): Promise<void> {
  const ref = call.params['container'] ?? '';
  const seen = await gate.containers.look(ref, call.signal);
  if (seen.kind === 'sealed') {
    sendAnswer(call.response, seen.answer);
    return;
  }
  if (seen.kind === 'foreign' && isOurName(ref)) throw new AgentError('name.conflict', { container: ref });
  throw noSuchContainer(ref);
}

/** A call that goes to the engine as it is, by id, and whose answer comes back as it comes. */
export function passThrough(method: EngineCall['method'], action: string): Handler {
  return async (call, gate) => {
    const { incoming } = await onContainer(call, gate, ({ id }) => ({
      method,
      path: `/containers/${id}/${action}`,
      query: call.query,
      signal: call.signal,
    }));
    await sendStream(call.response, incoming);
  };
}

export async function removeContainer(call: GateCall, gate: GateContext): Promise<void> {
  const { container, incoming } = await onContainer(call, gate, ({ id }) => ({
    method: 'DELETE',
    path: `/containers/${id}`,
    // What an image declares as a volume is of this container alone, and nobody could name it afterwards.
    query: { ...call.query, v: '1' },
    signal: AbortSignal.timeout(ownDeadlineMs),
  }));
  if (incoming.statusCode === 204) {
    gate.containers.forgetName(container);
    await removeSecrets(container.member, gate.policy);
  }
  await sendStream(call.response, incoming);
}

/** Ours only. The engine filters by the seal's label; which of them are real is judged one by one, and remembered. */
export async function listContainers(call: GateCall, gate: GateContext): Promise<void> {
  const query = { ...call.query, filters: containerFilters(call.query['filters']) };
  const answer = await gate.engine.ask({ method: 'GET', path: '/containers/json', query, signal: call.signal });
  if (answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  const ours: unknown[] = [];
  for (const item of JSON.parse(answer.body.toString()) as ListedContainer[]) {
    const container = await findOurs(item, gate, call.signal);
    // An engine's list does not say what a container is promised; admission would have to inspect each of them.
    if (container) ours.push({ ...item, HostConfig: { ...item.HostConfig, ...container.limits } });
  }
  sendJson(call.response, 200, ours);
}

interface ListedContainer {
  readonly Id: string;
  readonly Names?: readonly string[];
  readonly HostConfig?: object;
}

async function findOurs(item: ListedContainer, gate: GateContext, signal: AbortSignal) {
  const container = await gate.containers.judge(item.Id, signal);
  if (container === undefined || item.Names?.includes(`/${container.name}`)) return container;
  // Somebody renamed it: its seal has to be looked at again.
  const seen = await gate.containers.look(item.Id, signal);
  return seen.kind === 'sealed' ? seen.container : undefined;
}
