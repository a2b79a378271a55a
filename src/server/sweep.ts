/**
 * Forgets what nobody will ask for again: answers that can no longer be repeated, old events, tokens that work no more, sessions
 * that nobody uses, tasks, pushes and rollouts
 * that ended. Everything else in the store is as much as people have made.
 */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Store, Tx } from './db/store.ts';
import { idleMs } from './http/callers.ts';
import { standingRollouts } from './releases/current-release.ts';
import { abandonedMs } from './revisions/keep-pushes.ts';

const everyMs = 10 * 60 * 1000;
/** Longer than events: somebody may ask next year who did that. */
const auditKeptMs = 365 * 24 * 60 * 60 * 1000;
/** Of rollouts as well: events tell what became of them. */
const eventsKeptMs = 90 * 24 * 60 * 60 * 1000;
/** Tokens that work no more, so that whoever looks for one finds out why. */
const tokensKeptMs = 7 * 24 * 60 * 60 * 1000;
/** Far longer than a node may hold back a result: one that comes later changes nothing and is acknowledged. */
const tasksKeptMs = 30 * 24 * 60 * 60 * 1000;
/** Entities of one transaction: others wait for it. */
const batch = 500;

interface Parts {
  readonly store: Store;
  /** Bytes beside the store. */
  readonly files: readonly { dropOrphans(now: number): Promise<void> }[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Sweeps now and then until it is stopped. What goes wrong is told and tried again. */
export async function keepSweeping({ store, files, clock, log }: Parts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sweep(store, clock.wallMs()).catch((err) => {
      // A store that was closed under it is no trouble of the store.
      if (!signal.aborted) log.error({ err }, 'could not sweep the store');
    });
    for (const each of files) {
      await each.dropOrphans(Date.now()).catch((err) => {
        if (!signal.aborted) log.error({ err }, 'could not take away what nobody has any more');
      });
    }
    await clock.pause(everyMs, signal).catch(() => undefined);
  }
}

export async function sweep(store: Store, now: number): Promise<void> {
  const timeOf = (ms: number) => new Date(ms).toISOString();
  await sweepOf(store, (tx, limit) => tx.events.forgetBefore(timeOf(now - eventsKeptMs), limit));
  await sweepOf(store, (tx, limit) => oldEntries(tx, timeOf(now - auditKeptMs), limit));
  await sweepOf(store, (tx, limit) => expired(tx, 'idempotent_answers', timeOf(now), limit));
  await sweepOf(store, (tx, limit) => expired(tx, 'join_tokens', timeOf(now - tokensKeptMs), limit));
  await sweepOf(store, (tx, limit) => expired(tx, 'api_tokens', timeOf(now - tokensKeptMs), limit));
  await sweepOf(store, (tx, limit) => revokedTokens(tx, timeOf(now - tokensKeptMs), limit));
  await sweepOf(store, (tx, limit) => idleSessions(tx, timeOf(now - idleMs), limit));
  await sweepOf(store, (tx, limit) => endedTasks(tx, timeOf(now - tasksKeptMs), limit));
  await sweepOf(store, (tx, limit) => pushesOver(tx, timeOf(now - tasksKeptMs), timeOf(now - abandonedMs), limit));
  await sweepOf(store, (tx, limit) => endedRollouts(tx, timeOf(now - eventsKeptMs), limit));
}

/** Deletes up to `limit` and returns how many it found. */
type Sweeping = (tx: Tx, limit: number) => Promise<number>;

async function sweepOf(store: Store, sweeping: Sweeping): Promise<void> {
  while ((await store.write((tx) => sweeping(tx, batch))) === batch);
}

async function expired(
  tx: Tx,
  name: 'idempotent_answers' | 'join_tokens' | 'api_tokens',
  before: string,
  limit: number,
) {
  const old = await tx[name].list({ below: { expires_at: before }, limit });
  for (const { id } of old) await tx[name].delete(id);
  return old.length;
}

async function revokedTokens(tx: Tx, before: string, limit: number): Promise<number> {
  const old = await tx.api_tokens.list({ below: { revoked_at: before }, limit });
  for (const { id } of old) await tx.api_tokens.delete(id);
  return old.length;
}

async function oldEntries(tx: Tx, before: string, limit: number): Promise<number> {
  const old = await tx.audit_entries.list({ below: { time: before }, limit });
  for (const { id } of old) await tx.audit_entries.delete(id);
  return old.length;
}

/** Those of tokens that work no more are not used any more either. */
async function idleSessions(tx: Tx, before: string, limit: number): Promise<number> {
  const idle = await tx.sessions.list({ below: { used_at: before }, limit });
  for (const { id } of idle) await tx.sessions.delete(id);
  return idle.length;
}

/** With the last task of an instance or a job that is gone for good, the number goes that its tasks were fenced by. */
async function endedTasks(tx: Tx, before: string, limit: number): Promise<number> {
  const old = await tx.tasks.list({ below: { ended_at: before }, limit });
  for (const { id, instance_id, workload_id, purpose } of old) {
    await tx.tasks.delete(id);
    const instance = instance_id === null ? undefined : await tx.app_instances.get(instance_id);
    const isGone =
      instance?.state === 'decommissioned' || (purpose.startsWith('job') && !(await tx.jobs.get(workload_id)));
    if (isGone && (await tx.tasks.find({ workload_id })) === undefined) await tx.workload_fencing.delete(workload_id);
  }
  return old.length;
}

/** Those that ended before `before`, and those of which nobody has sent the rest since `abandoned`. Bytes go as orphans. */
async function pushesOver(tx: Tx, before: string, abandoned: string, limit: number): Promise<number> {
  const old = await tx.pushes.list({ below: { ended_at: before }, limit });
  const open = await tx.pushes.list({ where: { state: 'receiving' } });
  const all = [...old, ...open.filter(({ created_at }) => created_at < abandoned)].slice(0, limit);
  for (const { id } of all) await tx.pushes.delete(id);
  return all.length;
}

/** Each with its nodes, of which there may be many; those that the present release of a channel goes by stay. */
async function endedRollouts(tx: Tx, before: string, limit: number): Promise<number> {
  const standing = await standingRollouts(tx);
  let left = limit;
  for (const { id } of await tx.rollouts.list({ below: { ended_at: before } })) {
    if (standing.has(id)) continue;
    const nodes = await tx.rollout_nodes.list({ where: { rollout_id: id }, limit: left });
    for (const node of nodes) await tx.rollout_nodes.delete(node.id);
    left -= nodes.length;
    if (left === 0) return limit;
    await tx.rollouts.delete(id);
    left -= 1;
    if (left === 0) return limit;
  }
  return limit - left;
}
