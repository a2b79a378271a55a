/**
 * Judges what was pushed, for as long as the control plane runs. What waits for it is in the store, and its bytes are beside it, so a
 * push outlives a control plane that is killed: the next one judges it again.
 */
import { AgentError } from '../../contract/failures.ts';
import { type Clock, steadyTime } from '../../kit/clock.ts';
import { isDiskFull } from '../../kit/disk-full.ts';
import type { Log } from '../../kit/log.ts';
import { Slots } from '../../kit/slots.ts';
import type { Push } from '../db/entities/revision.ts';
import type { Store } from '../db/store.ts';
import { ownRepositories, type Resolving } from '../jobs/resolve-images.ts';
import { type JudgingGround, judgePush } from './judge-push.ts';
import { accept, type RevisionLimits, refuse } from './keep-pushes.ts';
import type { RevisionFiles } from './revision-files.ts';

export interface JudgingParts {
  readonly store: Store;
  readonly revisions: RevisionFiles;
  readonly limits: RevisionLimits;
  readonly resolving: Omit<Resolving, 'isOwn'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Each reads its tarball from one end to the other. */
const atDisk = 4;
/** Each waits for registries, of which some may never answer. */
const atRegistries = 32;
/** After a store that could not be read or written. */
const againMs = 10_000;

/**
 * Goes on until it is stopped, and resolves when nothing is judged any more. One push of a project at a time, its oldest, and projects take
 * places in the order they come for them: one with many pushes, or slow ones, holds up its own alone.
 */
export async function keepJudging(parts: JudgingParts, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = parts;
  let changed = new AbortController();
  const look = () => changed.abort();
  const stopListening = store.onCommit(({ changed: collections }) => {
    if (collections.has('pushes')) look();
  });
  signal.addEventListener('abort', stopListening, { once: true });
  /** By project. */
  const atWork = new Map<string, Promise<void>>();
  const places = { disk: new Slots(atDisk), registries: new Slots(atRegistries) };
  const troubled = async (err: unknown) => {
    if (signal.aborted) return;
    log.error({ err }, 'pushes could not be judged, trying again');
    await clock.pause(againMs, signal).catch(() => undefined);
  };
  const begin = async (push: Push) => {
    await judgeOne(parts, push, places, signal).catch(troubled);
    atWork.delete(push.project_id);
    look();
  };
  while (!signal.aborted) {
    changed = new AbortController();
    try {
      const waiting = await store.read((tx) => tx.pushes.list({ where: { state: 'judging' } }));
      for (const push of waiting) {
        if (!atWork.has(push.project_id)) atWork.set(push.project_id, begin(push));
      }
      await aborted(AbortSignal.any([signal, changed.signal]));
    } catch (error) {
      await troubled(error);
    }
  }
  await Promise.all(atWork.values());
}

async function judgeOne(
  parts: JudgingParts,
  push: Push,
  places: JudgingGround['places'],
  stopped: AbortSignal,
): Promise<void> {
  const { store, revisions, clock, log } = parts;
  const now = steadyTime(clock);
  try {
    const resolving = { ...parts.resolving, isOwn: await store.read(ownRepositories) };
    const judged = await judgePush(push, { revisions, resolving, places }, stopped);
    if (judged.is === 'refused') {
      await store.write((tx) => refuse(tx, push, judged, now()));
    } else {
      const content = { project_id: push.project_id, sha256: judged.files.sha256 };
      const known = () => store.write((tx) => accept(tx, push, judged.files, { now: now(), limits: parts.limits }));
      try {
        await revisions.keep(judged.tar, content, known);
      } catch (error) {
        await revisions.drop(content).catch(() => undefined);
        throw error;
      }
    }
  } catch (error) {
    // It is judged by the next one.
    if (stopped.aborted) return;
    log.error({ err: error, trace_id: push.trace_id }, 'a push could not be judged');
    const failure = asFailure(error);
    await store.write((tx) => refuse(tx, push, { failure: failure.toFailure(), errors: [] }, now()));
  } finally {
    if (!stopped.aborted) {
      await revisions.dropWork(push).catch(() => undefined);
      await revisions.dropUpload(push).catch(() => undefined);
    }
  }
}

function asFailure(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (!isDiskFull(error)) return new AgentError('internal', {}, { cause: error });
  const reason = 'The disk of the control plane has no room for what the tarball unpacks to.';
  return new AgentError('disk.full', { reason }, { cause: error });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
