/** The end of a job: what is kept of it, what it leaves, and what is signed about it. */

import { AgentError, type Failure } from '../contract/failures.ts';
import { imageName, type JobPlan } from '../contract/job-plan.ts';
import { containerName, labels } from '../contract/names.ts';
import type { Cleanup } from '../contract/workload-output.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { repeat } from '../kit/repeat.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { choosePayload } from '../policy/choose-payload.ts';
import { planHash } from '../policy/job-receipts.ts';
import { isEngineAway } from '../runtime/engine-away.ts';
import { measureCaches } from './caches.ts';
import type { PlannedOutput, Whereabouts } from './outputs/job-outputs.ts';
import { failureOf, type RunningJob } from './running-job.ts';
import { JobLetGo } from './running-jobs.ts';
import { takeContainers, takeOthers } from './take-away.ts';

/** At most, before who waits for the job hears of its end: what was kept can be had then, where the control plane is there. */
const handOverMs = 20_000;

/** Between two that are kept of one name. */
const checkpointMs = 30_000;
/** Between two looks at what is not there, or is being written. */
const lookMs = 2000;
/** Less is read in no time. */
const costlyBytes = 2 ** 20;

/**
 * Keeps checkpoints that have changed while the job runs, the first as soon as it is there, until the signal is aborted. Resolves when
 * nothing of that is under way any more: what is being read is given up at once, and what is being kept is kept first.
 */
export async function watchCheckpoints(
  job: RunningJob,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  const wanted = job.plan.outputs.filter(({ type }) => type === 'checkpoint');
  if (wanted.length === 0 || !job.ground.jobs.outputs) return;
  const nextLook = new Map<string, number>();
  /** How often, since something was kept. */
  const inVain = new Map<string, number>();
  const toldUnsettled = new Set<string>();
  const lookAgain = async (output: PlannedOutput) => {
    const { name } = output;
    const found = await lookAt(job, output, signal);
    if (found === 'known') inVain.delete(name);
    if (found === 'read_in_vain') inVain.set(name, (inVain.get(name) ?? 0) + 1);
    nextLook.set(name, clock.monotonicMs() + pauseAfter(found, inVain.get(name)) - lookMs / 2);
    if (found === 'known' || found === 'absent' || toldUnsettled.has(name)) return;
    toldUnsettled.add(name);
    tellUnsettled(job, output);
  };
  const look = async () => {
    for (const output of wanted) {
      if (signal.aborted) return;
      if (clock.monotonicMs() >= (nextLook.get(output.name) ?? 0)) await lookAgain(output);
    }
    if (!signal.aborted) noteOutputs(job);
  };
  const onError = (error: unknown) => job.ground.log.warn({ err: error }, 'checkpoints could not be looked at');
  await repeat(look, { everyMs: lookMs, clock, signal, onError });
}

type Found = 'known' | 'absent' | 'unsettled' | 'read_in_vain';

/** One that is never kept takes ever less of the host, where it is more than a look at when it was written to. */
function pauseAfter(found: Found, timesInVain = 1): number {
  if (found === 'known') return checkpointMs;
  return found === 'read_in_vain' ? Math.min(lookMs * 2 ** (timesInVain - 1), checkpointMs) : lookMs;
}

/** What is absent or unsettled is to be looked at again soon. */
async function lookAt(job: RunningJob, output: PlannedOutput, signal: AbortSignal): Promise<Found> {
  try {
    if ((await take(job, output, signal, Date.now())) === undefined) return 'absent';
    job.unwarn({ kind: 'output', name: output.name });
    return 'known';
  } catch (error) {
    if (error instanceof AgentError && error.code === 'output.unsettled') {
      return Number(error.detail['read_bytes'] ?? 0) < costlyBytes ? 'unsettled' : 'read_in_vain';
    }
    // As it is where the container is started meanwhile: that says nothing of the output.
    if (isEngineAway(error)) return 'absent';
    if (!signal.aborted) note(job, output, error);
    return 'known';
  }
}

/** Once of each: it is usual with one look, and where it never ends nothing else says so while the job runs. */
function tellUnsettled(job: RunningJob, { name, path }: PlannedOutput): void {
  const message = `${name} is being written and is not kept before nothing of it was written for two seconds.`;
  job.emit('output.unsettled', message, { output: name, path });
}

/** A required output that is not there. */
export interface LostOutput {
  readonly name: string;
  readonly failure: Failure;
}

/** Keeps the logs of all that ran, and every output. Returns the first required one that is not there. */
export async function keepOutputs(job: RunningJob): Promise<LostOutput | undefined> {
  const { outputs, running } = job.ground.jobs;
  if (!outputs) return undefined;
  await Promise.all(job.parts.filter(({ id }) => job.step(id).container_id !== null).map(({ id }) => keepLog(job, id)));
  let lost: LostOutput | undefined;
  for (const output of job.plan.outputs) {
    try {
      const kept = await take(job, output, toItsEnd(), output.type === 'checkpoint' ? cutAt(job, output) : undefined);
      job.unwarn({ kind: 'output', name: output.name });
      if (kept) continue;
      const { name, path, volume, required } = output;
      const facts = { output: name, path };
      const reason = `It is ${name}, at ${path} of the volume ${volume}.`;
      if (required) lost ??= { name, failure: failureOf(new AgentError('output.missing', { ...facts, reason })) };
      else job.emit('output.missing', `${name} does not exist, and is not required.`, facts);
    } catch (error) {
      if (error instanceof JobLetGo) throw error;
      note(job, output, error);
      if (output.required) lost ??= { name: output.name, failure: failureOf(error) };
    }
  }
  running.assertHeld();
  noteOutputs(job);
  return lost;
}

/**
 * When the last program that has its volume was cut short: by a signal, for its memory, in a way that nobody saw, or by a failure of its
 * own. It may have been writing. Undefined where it has succeeded, or was asked to end and then ended by itself, whatever its status:
 * then it has written what it wanted to.
 */
function cutAt(job: RunningJob, { volume }: PlannedOutput): number | undefined {
  const [last] = job.plan.steps
    .filter(({ mounts }) => mounts.some((mount) => mount.volume === volume))
    .map(({ id }) => job.step(id))
    .flatMap((step) => (step.container_id && step.ended_at ? [{ ...step, endedMs: Date.parse(step.ended_at) }] : []))
    .toSorted((one, other) => other.endedMs - one.endedMs);
  if (!last || last.state === 'succeeded') return undefined;
  const hasObeyed = last.ending !== null && last.exit_code !== null && !last.oom_killed;
  return hasObeyed ? undefined : last.endedMs;
}

async function keepLog(job: RunningJob, id: string): Promise<void> {
  const { engine, log, jobs } = job.ground;
  const signal = toItsEnd();
  try {
    const name = containerName(job.id, id);
    const own = jobs.scripts?.inPlaceOf(name)?.read({ signal, follow: false });
    await jobs.outputs?.takeLog(job.id, id, own ?? engine.logs(name, { signal, follow: false }), signal);
    job.unwarn({ kind: 'log', name: id });
  } catch (error) {
    log.warn({ service: id, err: error }, 'log of a step could not be kept');
    const message = `The log of ${id} could not be kept.`;
    job.warn({ kind: 'log', name: id, code: failureOf(error).code, message });
    job.emit('log.lost', message, { step: id });
  }
}

/** Undefined also where no container that was made has its volume. */
async function take(job: RunningJob, output: PlannedOutput, signal: AbortSignal, writtenUntil: number | undefined) {
  const place = whereIs(job, output);
  return place && (await job.ground.jobs.outputs?.take(output, { ...place, written_until: writtenUntil }, signal));
}

function whereIs(job: RunningJob, { volume }: PlannedOutput): Whereabouts | undefined {
  for (const { id, mounts } of job.parts) {
    const target = mounts.find((mount) => mount.volume === volume)?.path;
    if (target !== undefined && job.step(id).container_id !== null) {
      return { job: job.id, container: containerName(job.id, id), target };
    }
  }
  return undefined;
}

function note(job: RunningJob, { name }: PlannedOutput, error: unknown): void {
  const { code, message } = failureOf(error);
  job.ground.log.warn({ err: error }, 'output could not be kept');
  const said = `${name} could not be kept. ${message}`;
  job.warn({ kind: 'output', name, code, message: said });
  job.emit('output.failed', said, { output: name, code });
}

/** What is kept by now, for whoever the job is reported to. */
export function noteOutputs(job: RunningJob): void {
  const outputs = job.ground.jobs.outputs?.of(job.id) ?? [];
  if (JSON.stringify(outputs) !== JSON.stringify(job.record.outputs)) job.update({ outputs: [...outputs] });
}

/** Of several that are named by their hash, the one that is for this host. */
function takenName(source: JobPlan['images'][number]['source']): string {
  const chosen = source.kind === 'payload' ? choosePayload(source.payload, process.arch) : undefined;
  return chosen?.hash ?? imageName(source);
}

/** Once its end is on disk; null where nothing is signed. Asked again it is the same one. */
export function signReceipt(job: RunningJob): string | null {
  const { plan, record, ground } = job;
  if (record.receipt !== null || !ground.jobs.receipts) return record.receipt;
  return ground.jobs.receipts.sign({
    ...{ job_id: job.id, project_id: plan.identity.project_id, allocation_id: plan.identity.allocation_id },
    ...{ task_id: ground.taskId, attempt: plan.identity.attempt ?? 1 },
    document_sha256: plan.identity.document_sha256,
    plan_sha256: planHash(plan),
    images: plan.images.map(({ id, source }) => ({
      ...{ id, image_id: record.images[id] ?? null },
      reference: takenName(source),
      ...(source.kind === 'build' && {
        provenance: {
          ...{ revision_sha256: source.revision_sha256, bases: Object.values(source.bases) },
          ...{ builder: 'docker-classic' as const, engine: record.builders?.[id] ?? null },
        },
      }),
    })),
    inputs: plan.inputs.map(({ id }) => {
      const { sha256 = null, commit } = record.inputs[id] ?? {};
      return { id, sha256, ...(commit !== undefined && { commit }) };
    }),
    steps: plan.steps.map(({ id }) => {
      const { state, exit_code, signal, oom_killed, started_at, ended_at, commands } = job.step(id);
      return {
        ...{ id, state, exit_code, signal, oom_killed, started_at, ended_at },
        ...(commands && { commands: commands.map((each) => ({ state: each.state, exit_code: each.exit_code })) }),
      };
    }),
    outputs: record.outputs.map(({ name, kind, sha256, bytes }) => ({ name, kind, sha256, bytes })),
    ...{ state: record.state, started_at: record.started_at, ended_at: record.ended_at },
  });
}

/**
 * Takes away what the job has made; what is to be kept stays, but for containers that hold cards. The receipt, which ends a job for
 * those who wait for it, is told of as soon as another job could have what this one had, and what was kept is where they look for it.
 */
export async function cleanUp(job: RunningJob, receipt: string | null): Promise<Cleanup> {
  const { jobs, log } = job.ground;
  const signal = toItsEnd();
  const freed = freeHost(job, signal);
  const [cleaned, told] = await Promise.allSettled([
    freed.then((cleanup) => takeRest(job, cleanup, signal)),
    Promise.allSettled([freed, jobs.outputs?.handedOver(job.id, handOverMs, signal)]).then(() => {
      if (job.record.receipt !== receipt) job.update({ receipt });
    }),
  ]);
  if (told.status === 'rejected') throw told.reason;
  if (cleaned.status === 'rejected') throw cleaned.reason;
  const { removed, kept, failed } = cleaned.value;
  log.info({ removed, kept, failed }, 'job cleaned up');
  return cleaned.value;
}

/** Cores and memory have been free since its end. */
async function freeHost(job: RunningJob, signal: AbortSignal): Promise<Cleanup> {
  const { engine, gpus } = job.ground;
  const { keep, resources } = job.plan;
  await job.networkSettled();
  const cleanup = await takeContainers(job.id, engine, signal, { keep });
  if (resources.gpu_count > 0) {
    const left = (await engine.list(signal)).filter(({ labels: of }) => of[labels.instance] === job.id);
    gpus.settle(job.id, left);
  }
  return cleanup;
}

async function takeRest(job: RunningJob, cleanup: Cleanup, signal: AbortSignal): Promise<Cleanup> {
  const { engine, jobs, log } = job.ground;
  const { keep, inputs } = job.plan;
  if (!keep) jobs.scripts?.forget(job.id);
  const whole = await takeOthers(job.id, engine, signal, { keep, cleanup });
  await measureCaches(job).catch((err: unknown) => log.warn({ err }, 'caches could not be measured'));
  if (inputs.length > 0 && !keep) await jobs.inputs?.release(job.id);
  return whole;
}
