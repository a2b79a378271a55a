/**
 * Gives jobs that wait to hosts, for as long as the control plane runs. What waits is in the store, so nothing is lost with it,
 * and a job becomes a task in the transaction that says so: it is given out once.
 */
import { CompactEncrypt, importJWK } from 'jose';
import { AgentError } from '../../contract/failures.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { PlanPart } from '../../contract/plan-parts.ts';
import { type Clock, steadyTime } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import { asAskedFor } from '../../manifests/computalot/requirements.ts';
import { readJob } from '../../manifests/job-dialects.ts';
import { putSecrets, type Secrets } from '../../manifests/job-secrets.ts';
import type { RevisionWish } from '../../manifests/planned-job.ts';
import type { CollectionName } from '../db/collections.ts';
import type { Batch, Job } from '../db/entities/job.ts';
import type { Node } from '../db/entities/node.ts';
import type { Revision } from '../db/entities/revision.ts';
import type { ReadTx, Store, Tx } from '../db/store.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import type { Vault } from '../keys/vault.ts';
import { ofSameCommit } from './input-commits.ts';
import { changeJob } from './job-changes.ts';
import { hostsOf, offersOf } from './job-hosts.ts';
import { nextTurn, type Placed, type Turn } from './job-queue.ts';
import { notBefore } from './job-retries.ts';
import { openStates, presentAttempt } from './jobs-at-work.ts';
import { planned, revisionWish } from './plan-job.ts';
import { nothingToResume, type Resumption, resumptionOf } from './resume-inputs.ts';
import { invalid, outdated } from './submit-job.ts';

/** Hosts that came back, waits that are over. What changes in the store is looked at at once. */
const everyMs = 10_000;
/** Of each project, so many are looked at in a turn, oldest first. */
const lookedAt = 100;
/** What the agent has beyond the deadline of the job, to end it and to hand over what is kept of it. */
const endingSeconds = 86_400;

export interface DispatchParts {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly log: Log;
  readonly isConnected: (nodeId: string) => boolean;
}

const decisive: readonly CollectionName[] = ['jobs', 'nodes', 'allocations', 'app_instances'];

/** Goes on until it is stopped. What goes wrong is told and tried again. */
export async function keepDispatching(parts: DispatchParts, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = parts;
  const now = steadyTime(clock);
  let changed = new AbortController();
  const stopListening = store.onCommit(({ changed: collections }) => {
    if (decisive.some((name) => collections.has(name))) changed.abort();
  });
  signal.addEventListener('abort', stopListening, { once: true });
  while (!signal.aborted) {
    changed = new AbortController();
    const soon = await dispatch(parts, now()).catch((err: unknown) => {
      if (!signal.aborted) log.error({ err }, 'jobs could not be given out, trying again');
      return everyMs;
    });
    await clock.pause(Math.min(soon, everyMs), AbortSignal.any([signal, changed.signal])).catch(() => undefined);
  }
}

/**
 * One turn: everything that can be begun now is, and of the rest it is said why it waits. Resolves with the milliseconds until one
 * is to be begun anew.
 */
async function dispatch(parts: DispatchParts, now: number): Promise<number> {
  const { store, isConnected } = parts;
  const { turn, reasons, soon } = await store.read((tx) => lookAround(tx, isConnected, now));
  for (const placed of turn.begin)
    await begin(parts, placed, now).catch((error: unknown) => giveUp(parts, placed, error, now));
  if (reasons.length === 0) return soon;
  await store.write(async (tx) => {
    for (const { id, reason } of reasons) {
      const job = await tx.jobs.get(id);
      if (job?.state !== 'queued' || presentAttempt(job)) continue;
      await tx.jobs.put({ ...job, reason: reason.slice(0, 1000) }, { quietly: true });
    }
  });
  return soon;
}

interface Around {
  readonly soon: number;
  readonly turn: Turn;
  /** Those that are not what is told already. */
  readonly reasons: readonly { readonly id: string; readonly reason: string }[];
}

/** Most of the time. */
const nothing: Around = { soon: everyMs, turn: { begin: [], reasons: new Map() }, reasons: [] };

async function lookAround(tx: ReadTx, isConnected: (nodeId: string) => boolean, now: number): Promise<Around> {
  const isWaiting = (job: Job) => job.state === 'queued' && presentAttempt(job) === undefined;
  if (!(await tx.jobs.list({ where: { state: 'queued' } })).some(isWaiting)) return nothing;
  const open = await tx.jobs.list({ where: { state: openStates } });
  const ofProject = Map.groupBy(open, ({ project_id }) => project_id);
  const waiting = [...ofProject.values()].flatMap((jobs) => jobs.filter(isWaiting).slice(0, lookedAt));
  const atWork = new Map([...ofProject].map(([id, jobs]) => [id, jobs.filter((job) => !isWaiting(job)).length]));
  const projects = [...new Set(waiting.map(({ project_id }) => project_id))];
  const hosts = [];
  for (const id of projects) hosts.push(...(await hostsOf(tx, id, isConnected)));
  const asked = waiting.map((job) => ({
    ...{ id: job.id, projectId: job.project_id, queuedAt: Date.parse(job.queued_at), notBefore: notBefore(job) },
    ...{ allocationId: job.options.allocation_id, needs: job.needs, revision: job.revision_sha256 },
    failed: job.attempts.at(-1)?.failure?.message,
    refusedBy: job.attempts.flatMap(({ begun, node_id }) => (begun ? [] : [node_id])),
  }));
  const turn = nextTurn(asked, hosts, atWork, now);
  const told = new Map(waiting.map(({ id, reason }) => [id, reason]));
  const reasons = [...turn.reasons].map(([id, reason]) => ({ id, reason }));
  const later = asked.map((job) => job.notBefore - now).filter((ms) => ms > 0);
  return {
    turn,
    soon: Math.min(everyMs, ...later),
    reasons: reasons.filter(({ id, reason }) => told.get(id) !== reason),
  };
}

/** The plan is made and sealed outside of the transaction that hands it over; what has changed since is left for the next turn. */
async function begin(parts: DispatchParts, placed: Placed, now: number): Promise<void> {
  const { store, queue } = parts;
  const found = await store.read(async (tx) => {
    const asked = await tx.jobs.get(placed.job.id);
    return {
      job: asked,
      document: await tx.job_documents.get(placed.job.id),
      node: await tx.nodes.get(placed.host.nodeId),
      kept: await tx.job_outputs.list({ where: { job_id: placed.job.id } }),
      revision: asked && (await revisionOf(tx, asked)),
    };
  });
  const { job, document, node, kept, revision } = found;
  if (!job || !document || !node) return;
  const secrets =
    document.sealed_secrets === null ? {} : (JSON.parse(parts.vault.open(document.sealed_secrets, job.id)) as Secrets);
  const build = revision && revisionWish(revision, document.payload_json ?? JSON.stringify(document.payload));
  const effective = asAskedFor(putSecrets(document.document, secrets) as object, document.requirements);
  const fresh = await sealedPlan({ ...job, build, batch: document.batch }, effective, placed, node);
  const isResumed = job.attempts.length > 0 && job.options.checkpointing?.resume_from_latest === true;
  const resumption = isResumed ? resumptionOf(fresh, kept, offersOf(node)?.plans ?? []) : nothingToResume;
  const plan = { ...fresh, inputs: [...fresh.inputs, ...resumption.inputs] };
  await store.write(async (tx) => {
    const present = await tx.jobs.get(job.id);
    const keeps = (await tx.nodes.get(node.id))?.wrapping_key.x === node.wrapping_key.x;
    if (present?.state === 'queued' && !presentAttempt(present) && keeps && (await isHere(tx, job, resumption))) {
      await handOver(tx, queue, present, placed, { plan, resumption }, now);
    }
  });
}

/** One that a newer one has replaced meanwhile is not asked for. */
async function isHere(tx: Tx, { id }: Job, { from }: Resumption): Promise<boolean> {
  for (const { name, sha256 } of from) {
    const row = await tx.job_outputs.find({ job_id: id, name, sha256 });
    if (row?.state !== 'stored') return false;
  }
  return true;
}

/** It would fail as well the next time, and hold up what waits behind it. */
async function giveUp(
  { store, log }: DispatchParts,
  { job: { id } }: Placed,
  error: unknown,
  now: number,
): Promise<void> {
  const failure = (error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error })).toFailure();
  log.error({ err: error, instance: id }, 'a job could not be given out');
  await store.write(async (tx) => {
    const job = await tx.jobs.get(id);
    if (job?.state !== 'queued' || presentAttempt(job)) return;
    await changeJob(tx, job, { to: 'failed', reason: failure.message, actor: 'system', at: now, failure });
  });
}

/** The revision that a job is of, which cannot be removed before the end of the job. */
async function revisionOf(tx: ReadTx, { project_id, revision_sha256: sha256 }: Job): Promise<Revision | undefined> {
  return sha256 === undefined ? undefined : await tx.revisions.find({ project_id, sha256 });
}

async function sealedPlan(
  job: Job & { readonly build: RevisionWish | undefined; readonly batch: Batch | undefined },
  document: unknown,
  { host, granted }: Placed,
  node: Node,
): Promise<JobPlan> {
  // Whether it still holds is its host's to say, whose clock counts.
  const read = readJob(job.dialect, document, { command_policy: job.batch?.command_policy });
  // It was accepted, and by a version of before this one.
  if (!read.ok) throw job.build ? outdated(read.errors) : invalid(read.errors);
  const parts = offersOf(node)?.plans ?? [];
  const place = { allocationId: host.allocationId, resources: granted, attempt: nextAttempt(job), parts };
  const { plan, secrets } = planned(read, job, place);
  const key = await importJWK(node.wrapping_key, 'ECDH-ES');
  const sealed = new Map<string, string>();
  for (const secret of secrets) {
    const jwe = new CompactEncrypt(Buffer.from(JSON.stringify(secret.value)));
    sealed.set(
      `${secret.for}/${secret.id}`,
      await jwe.setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' }).encrypt(key),
    );
  }
  const withCredential = <T extends { readonly id: string }>(kind: string, thing: T): T => {
    const credential = sealed.get(`${kind}/${thing.id}`);
    return credential === undefined ? thing : { ...thing, credential };
  };
  return {
    ...plan,
    ...(parts.includes('disk' satisfies PlanPart) && { disk_gib: job.needs.disk_gib }),
    images: plan.images.map((image) => withCredential('image', image)),
    inputs: plan.inputs.map((input) => withCredential('input', ofSameCommit(job, input))),
  };
}

const nextAttempt = ({ attempts }: Job) => attempts.length + 1;

async function handOver(
  tx: Tx,
  queue: TaskQueue,
  job: Job,
  { host, granted }: Placed,
  { plan, resumption: { from, told } }: { readonly plan: JobPlan; readonly resumption: Resumption },
  now: number,
): Promise<void> {
  const task = await queue.enqueue(tx, {
    ...{ type: 'workload.job_launch', purpose: 'job', params: plan, trace_id: job.trace_id },
    ...{ node_id: host.nodeId, allocation_id: host.allocationId, workload_id: job.id, project_id: job.project_id },
    deadline_seconds: job.options.deadline_seconds + endingSeconds,
  });
  const attempt = {
    ...{ number: nextAttempt(job), allocation_id: host.allocationId, node_id: host.nodeId, task_id: task.id },
    ...{ resources: granted, state: 'queued' as const, failure: null, begun: false },
    ...(from.length > 0 ? { resumed_from: [...from] } : {}),
    ...{ dispatched_at: new Date(now).toISOString(), ended_at: null },
  };
  const reason = `Given to ${host.name}.${told}`;
  const set = { attempts: [...job.attempts, attempt] };
  await changeJob(tx, job, { to: 'queued', reason, actor: 'system', at: now, set });
  await tx.events.append({
    ...{ time: attempt.dispatched_at, type: 'job.dispatched', project_id: job.project_id, actor: 'system' },
    ...{ subject: { kind: 'job', id: job.id }, correlation_id: job.trace_id, message: reason },
    data: {
      attempt: attempt.number,
      node_id: host.nodeId,
      allocation_id: host.allocationId,
      ...granted,
      resumed_from: from,
    },
  });
}
