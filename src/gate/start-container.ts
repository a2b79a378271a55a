/**
 * `POST /containers/{container}/start`: its network must be ours alone, folders are checked again right before, and what was
 * really mounted right after. The client has its answer only when all of it was in order.
 *
 *   network, folders ok ──▶ marked pending ──▶ engine starts it ──▶ mounts ok ──▶ mark gone, answer
 *       │                                           │                  └── not ok: killed, mark gone, `mount.refused`
 *       └── `name.conflict`, `mount.refused`        └── engine's error: mark gone, passed on
 *
 * The checked folders are held open across the start, and what the container shows must be those very folders: neither
 * a link's target nor another real folder moved to the place passes.
 *
 * What remains: between the engine's mount and the kill, up to five seconds where it cannot be looked at, a process runs
 * on the wrong folder, as the allocation's own user and with nothing else of the container loosened. One that ends within
 * that window cannot be looked at any more; it is logged, and refused if anything at or above the places was moved meanwhile, even if it was moved back; what it
 * did is done. Only mounts that the gate itself pins and hands to the engine would close the window.
 */
import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';
import { backoffDelay, pause } from '../kit/backoff.ts';
import { cachesOf } from '../policy/caches.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { sendAnswer } from './answers.ts';
import { isFresh } from './archives.ts';
import { noteUse, type UsedCache } from './caches.ts';
import { folderSeenAt, mountTablesOf } from './container-processes.ts';
import { type GateCall, type GateContext, ownDeadlineMs } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { type PreparedMount, prepareMounts, stateAbove } from './mount-folders.ts';
import { attach } from './networks.ts';
import { openVolumes } from './open-volumes.ts';
import { isSameFolder } from './safe-folders.ts';
import { engineMessage } from './sealed-containers.ts';
import type { EngineAnswer } from './upstream.ts';
import { compareMounts } from './verify-mounts.ts';
import { namedVolumes } from './volumes.ts';

/** Between looks at a process that may be ending just then: a busy engine hears of an end late. */
const lookAgain = { firstMs: 20, maxMs: 500, factor: 2 };
/** A container that runs longer than this without having been looked at is killed. */
const verifyMs = 5_000;

export async function startContainer(call: GateCall, gate: GateContext): Promise<void> {
  const ref = call.params['container'] ?? '';
  // First: an engine says nothing of a container while one is read.
  gate.archiveReads.end(ref);
  // Of what it shows, the start uses what stays as it is for this id: its mounts and its network.
  const { container, object } = await gate.containers.require(ref, call.signal);
  // Not the client's signal from here on: whatever was started is looked at, also when nobody waits for it any more.
  const signal = AbortSignal.timeout(ownDeadlineMs);
  const answer = await gate.locks.run(`start ${container.id}`, () => {
    call.signal.throwIfAborted();
    const network = object.State.Running ? undefined : attach(object, gate, signal);
    // Told below, unless the folders are wrong as well.
    network?.catch(() => undefined);
    return withMounts(object, gate, async (checked) => {
      await network;
      if (isFresh(object)) await openVolumes(object, gate, signal);
      const caches = cachesOf(object.Config.Labels ?? {}) ?? [];
      return await startAndVerify({ id: container.id, caches }, checked, gate, signal);
    });
  });
  sendAnswer(call.response, answer);
}

/** What was found before a start. */
interface Checked {
  readonly mounts: readonly PreparedMount[];
  readonly above: string;
}

/** Holds the folders open while `use` runs. */
async function withMounts<T>(
  { HostConfig }: ContainerObject,
  gate: GateContext,
  use: (checked: Checked) => Promise<T>,
): Promise<T> {
  const held: FileHandle[] = [];
  try {
    const { mounts } = await prepareMounts(HostConfig.Mounts ?? [], gate.policy, held);
    return await use({ mounts, above: await stateAbove(mounts, gate.policy) });
  } finally {
    for (const folder of held) await folder.close();
  }
}

async function startAndVerify(
  { id, caches }: { readonly id: string; readonly caches: readonly UsedCache[] },
  checked: Checked,
  gate: GateContext,
  signal: AbortSignal,
): Promise<EngineAnswer> {
  const wasPending = gate.pendingStarts.has(id);
  await gate.pendingStarts.mark(id);
  try {
    const answer = await gate.engine.ask({ method: 'POST', path: `/containers/${id}/start`, signal });
    // 304: it ran before this call, and was looked at when it was started, unless an earlier gate never came to that.
    if (answer.status < 300) noteUse(caches, gate);
    if (answer.status < 300 || (answer.status === 304 && wasPending)) await verifyOrKill(id, checked, gate, signal);
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

async function verifyLate(id: string, object: ContainerObject, gate: GateContext, signal: AbortSignal) {
  try {
    await withMounts(object, gate, (checked) => verifyOrKill(id, checked, gate, signal));
  } catch (error) {
    if (!isMountRefusal(error)) throw error;
    await kill(id, error, gate, signal);
  }
}

/** Returns if the mounts of the running container are right or it has ended by itself; else kills it and throws. */
async function verifyOrKill(id: string, checked: Checked, gate: GateContext, signal: AbortSignal) {
  const inTime = AbortSignal.timeout(verifyMs);
  const seen = { cause: `not looked at within ${verifyMs} ms` };
  try {
    const errors = await findWrongMounts(id, checked, gate, AbortSignal.any([signal, inTime]), seen);
    if (errors.length > 0) throw wrongMounts(errors);
  } catch (thrown) {
    const isLate = inTime.aborted && !signal.aborted && thrown === inTime.reason;
    const error = isLate ? wrongMounts([unreadable(seen.cause)]) : thrown;
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

/**
 * Of a process that cannot be looked at the engine says at some time that it has ended, or it is wrong when its time is over.
 * `seen.cause` is why it could not be looked at.
 */
async function findWrongMounts(
  id: string,
  checked: Checked,
  gate: GateContext,
  signal: AbortSignal,
  seen: { cause: string },
): Promise<PathError[]> {
  for (let attempt = 1; ; attempt += 1) {
    const { object } = await gate.containers.require(id, signal);
    const { Running, Pid } = object.State;
    if (!Running || !Pid) return await judgeEnded(object, checked, gate);
    try {
      return await judgeProcess(Pid, object, checked.mounts, gate.policy);
    } catch (error) {
      // Ends while it is read: ENOENT, ESRCH, EINVAL.
      seen.cause = error instanceof Error ? error.message : String(error);
    }
    await pause(backoffDelay(lookAgain, attempt), signal);
  }
}

function unreadable(cause: string): PathError {
  return { path: '', code: 'unreadable', message: `its mounts cannot be read: ${cause}` };
}

/** Nothing is left to look at but the folders: others than before at the places are taken for what was mounted. */
async function judgeEnded(
  object: ContainerObject,
  { mounts, above }: Checked,
  { policy, log }: GateContext,
): Promise<PathError[]> {
  if (mounts.length === 0) return [];
  log.warn({ container_id: object.Id }, 'container ended before its mounts could be looked at');
  const now = await prepareMounts(object.HostConfig.Mounts ?? [], policy);
  if ((await stateAbove(now.mounts, policy)) !== above) {
    return [{ path: '', code: 'moved', message: 'its folders were moved while it started' }];
  }
  return mounts.flatMap(({ target, folder }, index) => {
    const found = now.mounts[index]?.folder;
    return found !== undefined && isSameFolder(found, folder) ? [] : [otherFolder(target)];
  });
}

function otherFolder(target: string): PathError {
  return { path: target, code: 'wrong_folder', message: 'shows another folder than the one that was checked' };
}

async function judgeProcess(
  pid: number,
  { Id, Config, HostConfig }: ContainerObject,
  binds: readonly PreparedMount[],
  { sandboxes }: HostPolicy,
): Promise<PathError[]> {
  const isGvisor = sandboxes.gvisor !== undefined && HostConfig.Runtime === sandboxes.gvisor;
  const processes = await mountTablesOf(pid, Id, isGvisor);
  const volumes = Object.keys(Config.Volumes ?? {});
  const named = namedVolumes(HostConfig.Mounts ?? []);
  const cards = (HostConfig.DeviceRequests ?? []).length > 0;
  const errors = processes.flatMap(({ table }) =>
    compareMounts(table, { containerId: Id, binds, named, volumes, cards, readOnlyBy: isGvisor ? 'sandbox' : 'mount' }),
  );
  if (errors.length > 0) return errors;
  const wrong = await Promise.all(processes.map((each) => findOtherFolders(each.pid, binds)));
  // Read last, for the same reason as the control group: the process that was looked at is still the container's.
  await mountTablesOf(pid, Id, isGvisor);
  return wrong.flat();
}

/** Binds that show a folder at the right place that is not the one that was checked. */
async function findOtherFolders(pid: number, binds: readonly PreparedMount[]): Promise<PathError[]> {
  const errors: PathError[] = [];
  for (const { target, folder } of binds) {
    if (!isSameFolder(await folderSeenAt(pid, target), folder)) errors.push(otherFolder(target));
  }
  return errors;
}
