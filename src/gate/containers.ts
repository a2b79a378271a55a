/** Calls on one existing container of ours, and the list of them. */
import type { IncomingMessage } from 'node:http';
import { AgentError } from '../contract/failures.ts';
import { sendAnswer, sendJson, sendStream } from './answers.ts';
import { type GateCall, type GateContext, type Handler, ownDeadlineMs } from './context.ts';
import { containerFilters } from './filters.ts';
import { engineMessage, isOurName, noSuchContainer, type SealedContainer } from './sealed-containers.ts';
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
    const { incoming } = await onContainer(call, gate, (id) => ({
      method,
      path: `/containers/${id}/${action}`,
      query: call.query,
      signal: call.signal,
    }));
    await sendStream(call.response, incoming);
  };
}

export async function removeContainer(call: GateCall, gate: GateContext): Promise<void> {
  const { container, incoming } = await onContainer(call, gate, (id) => ({
    method: 'DELETE',
    path: `/containers/${id}`,
    query: call.query,
    signal: AbortSignal.timeout(ownDeadlineMs),
  }));
  if (incoming.statusCode === 204) {
    gate.containers.forgetName(container);
    await removeSecrets(container.instance, gate.policy);
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
  const found = JSON.parse(answer.body.toString()) as { Id: string; Names?: string[] }[];
  const ours: unknown[] = [];
  for (const item of found) {
    if (await isOurs(item, gate, call.signal)) ours.push(item);
  }
  sendJson(call.response, 200, ours);
}

async function isOurs(
  item: { Id: string; Names?: string[] },
  gate: GateContext,
  signal: AbortSignal,
): Promise<boolean> {
  const known = gate.containers.known(item.Id);
  if (known && item.Names?.includes(`/${known.name}`)) return true;
  return (await gate.containers.look(item.Id, signal)).kind === 'sealed';
}

/**
 * Sends a call for the container that the client named. If the one that is remembered under the name is gone, the name
 * is looked up anew, once: nothing has happened yet.
 */
async function onContainer(
  call: GateCall,
  gate: GateContext,
  build: (id: string) => EngineCall,
): Promise<{ container: SealedContainer; incoming: IncomingMessage }> {
  const ref = call.params['container'] ?? '';
  const container = await gate.containers.find(ref, call.signal);
  const incoming = await gate.engine.stream(build(container.id));
  if (incoming.statusCode !== 404) return { container, incoming };

  gate.containers.forgetName(container);
  const seen = await gate.containers.look(ref, call.signal);
  if (seen.kind === 'sealed' && seen.container.id === container.id) return { container, incoming };
  incoming.resume();
  if (seen.kind !== 'sealed') throw noSuchContainer(ref);
  return { container: seen.container, incoming: await gate.engine.stream(build(seen.container.id)) };
}
