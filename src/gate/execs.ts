/** Programs inside a container of ours: made, started with or without a stream, looked at. */
import { AgentError } from '../contract/failures.ts';
import { checkExecCreate, checkExecStart } from '../policy/exec-request.ts';
import { refuse } from '../policy/refusal.ts';
import { sendAnswer, sendStream } from './answers.ts';
import { onContainer } from './container-call.ts';
import type { GateCall, GateContext, UpgradeCall } from './context.ts';
import { engineMessage } from './sealed-containers.ts';
import { joinStreams, pourOrDrain, rawStreamType } from './streams.ts';
import { type EngineAnswer, type EngineCall, readAnswer } from './upstream.ts';

const maxKnown = 4096;
const inEgress = { path: '', code: 'egress', message: 'the proxy of a job runs nothing but its own program' };

/** Execs that were made or seen here, with their container. An exec never changes its container. */
export class KnownExecs {
  readonly #containers = new Map<string, string>();

  add(exec: string, container: string): void {
    this.#containers.set(exec, container);
    for (const oldest of this.#containers.keys()) {
      if (this.#containers.size <= maxKnown) return;
      this.#containers.delete(oldest);
    }
  }

  has(exec: string): boolean {
    return this.#containers.has(exec);
  }
}

export async function createExec(call: GateCall, gate: GateContext): Promise<void> {
  const { body, signal, response } = call;
  refuse([{ failure: 'policy.refused', errors: checkExecCreate(body) }]);
  const { container, incoming } = await onContainer(call, gate, ({ id, isEgress }) => {
    if (isEgress) refuse([{ failure: 'policy.refused', errors: [inEgress] }]);
    return { method: 'POST', path: `/containers/${id}/exec`, body, signal };
  });
  const answer = await readAnswer(incoming, signal);
  if (answer.status === 201) gate.execs.add((JSON.parse(answer.body.toString()) as { Id: string }).Id, container.id);
  sendAnswer(response, answer);
}

export async function inspectExec(call: GateCall, gate: GateContext): Promise<void> {
  sendAnswer(call.response, await lookAtExec(call.params['exec'] ?? '', call.signal, gate));
}

/** Without a protocol switch: detached, or with the output as the body of the answer. */
export async function startExec(call: GateCall, gate: GateContext): Promise<void> {
  const engineCall = await buildStart(call, gate);
  if ((engineCall.body as { Detach: boolean }).Detach) {
    sendAnswer(call.response, await gate.engine.ask(engineCall));
    return;
  }
  const answer = await gate.engine.upgrade(engineCall);
  if (!('upgraded' in answer)) {
    await sendStream(call.response, answer);
    return;
  }
  call.response.writeHead(200, { 'content-type': rawStreamType });
  call.response.flushHeaders();
  call.response.write(answer.head);
  await pourOrDrain(answer.upgraded, call.response);
}

/** With a protocol switch, as the engine's own clients ask for it. */
export async function startExecUpgraded(call: UpgradeCall, gate: GateContext): Promise<void> {
  const engineCall = await buildStart(call, gate);
  const answer = await gate.engine.upgrade(engineCall);
  await joinStreams(call.socket, answer);
}

async function buildStart(
  { params, body, signal }: Omit<UpgradeCall, 'socket'>,
  gate: GateContext,
): Promise<EngineCall> {
  refuse([{ failure: 'policy.refused', errors: checkExecStart(body) }]);
  const exec = params['exec'] ?? '';
  if (!gate.execs.has(exec)) await lookAtExec(exec, signal, gate);
  const { Detach = false } = body as { Detach?: boolean };
  return { method: 'POST', path: `/exec/${exec}/start`, body: { Detach, Tty: false }, signal };
}

/** The engine's word on an exec of one of our containers; `container.not_found` if it is another's. */
async function lookAtExec(exec: string, signal: AbortSignal, gate: GateContext): Promise<EngineAnswer> {
  const answer = await gate.engine.ask({ method: 'GET', path: `/exec/${exec}/json`, signal });
  if (answer.status === 404) throw noSuchExec(exec);
  if (answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  const { ContainerID } = JSON.parse(answer.body.toString()) as { ContainerID: string };
  if (gate.containers.known(ContainerID) === undefined) {
    const seen = await gate.containers.look(ContainerID, signal);
    if (seen.kind !== 'sealed') throw noSuchExec(exec);
  }
  gate.execs.add(exec, ContainerID);
  return answer;
}

function noSuchExec(exec: string): AgentError {
  return new AgentError('container.not_found', { exec_id: exec });
}
