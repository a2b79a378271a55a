/**
 * `POST /containers/{container}/start`: folders are checked again right before, and what was really mounted right
 * after. The client has its answer only when both were in order.
 *
 *   folders ok ──▶ marked pending ──▶ engine starts it ──▶ mounts ok ──▶ mark gone, answer
 *       │                                  │                  └── not ok: killed, mark gone, `mount.refused`
 *       └── `mount.refused`                └── engine's error: mark gone, passed on
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { sendAnswer } from './answers.ts';
import { mountTablesOf } from './container-processes.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { type PreparedMount, prepareMounts } from './mount-folders.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';
import { compareMounts } from './verify-mounts.ts';

/** Looks at a process that may be ending just then. */
const attempts = 5;

export async function startContainer(call: GateCall, gate: GateContext): Promise<void> {
  const ref = call.params['container'] ?? '';
  const { container } = await gate.containers.require(ref, call.signal);
  // Not the client's signal from here on: whatever was started is looked at, also when nobody waits for it any more.
  const signal = AbortSignal.timeout(ownDeadlineMs);
  const answer = await gate.locks.run(`start ${container.id}`, () => {
    call.signal.throwIfAborted();
    return start(container.id, gate, signal);
  });
  sendAnswer(call.response, answer);
}

async function start(id: string, gate: GateContext, signal: AbortSignal): Promise<EngineAnswer> {
  const { object } = await gate.containers.require(id, signal);
  const { mounts } = await prepareMounts(object.HostConfig.Mounts ?? [], gate.policy);

  const wasPending = gate.pendingStarts.has(id);
  await gate.pendingStarts.mark(id);
  try {
    const answer = await gate.engine.ask({ method: 'POST', path: `/containers/${id}/start`, signal });
    // 304: it ran before this call, and was looked at when it was started, unless an earlier gate never came to that.
    if (answer.status < 300 || (answer.status === 304 && wasPending)) await verifyOrKill(id, mounts, gate, signal);
    await gate.pendingStarts.settle(id);
    return answer;
  } catch (error) {
    gate.settleSoon();
    throw error;
  }
}

/** Looks at every container that was started and not looked at, by an earlier gate or because the engine went away. */
export async function verifyPending(gate: GateContext, signal: AbortSignal): Promise<void> {
  for (const id of gate.pendingStarts.ids()) {
    await gate.locks.run(`start ${id}`, async () => {
      if (!gate.pendingStarts.has(id)) return;
      const seen = await gate.containers.look(id, signal);
      if (seen.kind === 'sealed' && seen.object.State.Running) await verifyLate(id, seen.object, gate, signal);
      await gate.pendingStarts.settle(id);
    });
  }
}

async function verifyLate(id: string, { HostConfig }: ContainerObject, gate: GateContext, signal: AbortSignal) {
  try {
    const { mounts } = await prepareMounts(HostConfig.Mounts ?? [], gate.policy);
    await verifyOrKill(id, mounts, gate, signal);
  } catch (error) {
    if (!isMountRefusal(error)) throw error;
    await kill(id, error, gate, signal);
  }
}

/** Returns if the mounts of the running container are right or it has ended by itself; else kills it and throws. */
async function verifyOrKill(id: string, mounts: readonly PreparedMount[], gate: GateContext, signal: AbortSignal) {
  try {
    const errors = await findWrongMounts(id, mounts, gate, signal);
    if (errors.length > 0) throw wrongMounts(errors);
  } catch (error) {
    if (isMountRefusal(error)) await kill(id, error, gate, signal);
    throw error;
  }
}

/** The mark goes only with the container's process: a kill that failed is tried again in the background. */
async function kill(id: string, error: AgentError, gate: GateContext, signal: AbortSignal): Promise<void> {
  gate.log.error({ container_id: id, reason: error.message }, 'container has other mounts than it may have, killed');
  const path = `/containers/${id}/kill`;
  const answer = await gate.engine.ask({ method: 'POST', path, query: { signal: 'KILL' }, signal });
  const isEnded = answer.status < 300 || answer.status === 404 || answer.status === 409;
  if (!isEnded) throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  await gate.pendingStarts.settle(id);
}

function isMountRefusal(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code === 'mount.refused';
}

function wrongMounts(errors: readonly PathError[]): AgentError {
  const [first] = errors;
  const path = first?.path ?? '';
  const reason = `After the start, ${path} ${first?.message}. The container was killed.`;
  return new AgentError('mount.refused', { path, reason, errors: errors.map((error) => ({ ...error })) });
}

/** A process that cannot be looked at is wrong, unless the engine says that it has ended. */
async function findWrongMounts(
  id: string,
  mounts: readonly PreparedMount[],
  gate: GateContext,
  signal: AbortSignal,
): Promise<PathError[]> {
  let cause = '';
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const { object } = await gate.containers.require(id, signal);
    const { Running, Pid } = object.State;
    if (!Running || !Pid) return [];
    try {
      return await judgeProcess(Pid, object, mounts, gate.policy);
    } catch (error) {
      // Ends while it is read (ENOENT, ESRCH, EINVAL): then the engine will say so in a moment.
      cause = error instanceof Error ? error.message : String(error);
      await sleep(20 * attempt, undefined, { signal });
    }
  }
  return [{ path: '', code: 'unreadable', message: `its mounts cannot be read: ${cause}` }];
}

async function judgeProcess(
  pid: number,
  { Id, Config, HostConfig }: ContainerObject,
  binds: readonly PreparedMount[],
  { sandboxes }: HostPolicy,
): Promise<PathError[]> {
  const isGvisor = sandboxes.gvisor !== undefined && HostConfig.Runtime === sandboxes.gvisor;
  const tables = await mountTablesOf(pid, Id, isGvisor);
  const volumes = Object.keys(Config.Volumes ?? {});
  return tables.flatMap((table) =>
    compareMounts(table, { containerId: Id, binds, volumes, readOnlyBy: isGvisor ? 'sandbox' : 'mount' }),
  );
}
