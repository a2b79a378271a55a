/** Gets what a job needs before its first container: images by digest, data, cards, room on the host. */
import { AgentError } from '../contract/failures.ts';
import type { JobInput } from '../contract/job-inputs.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import { judge } from '../contract/validate.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import { PullCredential, type PullProgress } from '../runtime/engine.ts';
import { createBare, partId } from './bare-container.ts';
import { obtainBuilt } from './build-image.ts';
import { limitCaches } from './caches.ts';
import { type InputProgress, resolveInput } from './inputs/job-inputs.ts';
import { tarOf } from './inputs/tar-of.ts';
import { obtainPayload } from './payload/obtain-payload.ts';
import { failureOf, type RunningJob } from './running-job.ts';

/** Fetches images side by side with data. Rejects with the signal's reason, or with the first thing that cannot be had. */
export async function prepareJob(job: RunningJob, signal: AbortSignal): Promise<void> {
  const { plan } = job;
  // Takes an engine longer than all else before a start; whoever needs it is told what went wrong.
  if (!job.group) job.ensureNetwork().catch(() => undefined);
  await allOf([
    ...plan.images.map((image) => obtainImage(job, image, signal)),
    ...plan.inputs.filter((input) => !refersToSteps(input)).map((input) => provideInput(job, input, signal)),
  ]);
  await limitCaches(job, signal);
  for (const { name } of plan.volumes) await fillVolume(job, name, signal);
}

/** Waits for all of them, also where one fails: nothing of it is to go on beside the clean-up. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
}

async function obtainImage(job: RunningJob, image: JobPlan['images'][number], signal: AbortSignal): Promise<void> {
  const { id, source } = image;
  const pull = async (reference: string) => await pullImage(job, image, reference, signal);
  const obtain = async () => {
    if (source.kind === 'registry') return await pullImage(job, image, source.reference, signal);
    if (source.kind === 'build') return await obtainBuilt(job, { id, source, pull }, signal);
    return await obtainPayload(job, { id, source, pull }, signal);
  };
  const facts = await obtain();
  job.images.set(id, facts);
  if (job.record.images[id] === facts.id) return;
  const { images, builders = {} } = job.record;
  const built = facts.builtBy === undefined ? {} : { builders: { ...builders, [id]: facts.builtBy } };
  job.update({ images: { ...images, [id]: facts.id }, ...built });
}

async function pullImage(
  job: RunningJob,
  { id, credential }: JobPlan['images'][number],
  reference: string,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const { ground } = job;
  return await ground.engine.pull(
    { reference },
    {
      signal,
      credential: async (wanted) =>
        credential === undefined ? await ground.pullCredential(wanted) : asCredential(await ground.unseal(credential)),
      diskReserveBytes: ground.policy.reserves.disk_gib * 2 ** 30,
      makeRoom: ground.jobs.room?.make,
      onProgress: (progress) => tellPull(job, id, progress),
      onRetry: ({ attempt, delayMs, error }) =>
        ground.log.warn({ attempt, delay_ms: delayMs, err: error }, 'pull failed, will retry'),
    },
  );
}

function asCredential(opened: Buffer): PullCredential {
  const judged = judge(PullCredential, parsed(opened));
  if (!judged.ok) throw new AgentError('secret.unavailable', { reason: 'What was sealed is no registry credential.' });
  return judged.value;
}

function parsed(opened: Buffer): unknown {
  try {
    return JSON.parse(opened.toString('utf8'));
  } catch {
    return undefined;
  }
}

function tellPull(job: RunningJob, image: string, { layers, layersDone, bytes, bytesTotal }: PullProgress): void {
  const values = { image, layers, layers_done: layersDone, bytes, bytes_total: bytesTotal };
  job.emit('image.progress', `${image}: ${layersDone} of ${layers} layers`, values);
}

function refersToSteps({ source }: JobInput): boolean {
  return /"ref":"step_/.test(JSON.stringify(source));
}

/** Fetches an input, unless that was done. One that is not required and cannot be had is left out, and told of. */
export async function provideInput(job: RunningJob, input: JobInput, signal: AbortSignal): Promise<void> {
  const { inputs } = job.ground.jobs;
  if (job.record.inputs[input.id]) return;
  if (!inputs) throw new AgentError('task.unsupported', { reason: 'This process fetches no inputs.' });
  try {
    const credential = input.credential === undefined ? undefined : await openCredential(job, input.credential);
    await job.ground.engine.ensureInputs(job.id, input.volume, signal);
    const provided = await inputs.provide(job.id, resolveInput(input, job.values()), {
      ...{ signal, credential, onProgress: (progress) => tellInput(job, input.id, progress) },
    });
    job.unwarn({ kind: 'input', name: input.id });
    job.update({ inputs: { ...job.record.inputs, [input.id]: provided } });
    const { files, bytes, from_cache } = provided;
    job.emit('input.provided', `${input.id} is there.`, { input: input.id, files, bytes, from_cache });
  } catch (error) {
    signal.throwIfAborted();
    if (input.required) throw error;
    const { code, message: why } = failureOf(error);
    // What else went wrong is of the host, and names what is there.
    const reason = error instanceof AgentError ? ` ${why}` : '';
    const message = `${input.id} could not be fetched and is not required.${reason}`;
    job.warn({ kind: 'input', name: input.id, code, message });
    job.emit('input.left_out', message, { input: input.id, code });
  }
}

async function openCredential(job: RunningJob, sealed: string): Promise<Record<string, string>> {
  const opened = parsed(await job.ground.unseal(sealed));
  if (typeof opened !== 'object' || opened === null) {
    throw new AgentError('secret.unavailable', { reason: 'What was sealed is no credential.' });
  }
  return opened as Record<string, string>;
}

function tellInput(job: RunningJob, input: string, { bytes, bytes_total, files, files_total }: InputProgress): void {
  const values = { input, bytes, bytes_total: bytes_total ?? null, files, files_total };
  job.emit('input.progress', `${input}: ${files} of ${files_total} files`, values);
}

/**
 * What was fetched is copied into the engine's volume where a container may write to it: once, through a container that never
 * starts.
 */
export async function fillVolume(job: RunningJob, volume: string, signal: AbortSignal): Promise<void> {
  const { ground, plan } = job;
  const isMounted = job.parts.some(({ mounts }) => mounts.some((mount) => mount.volume === volume));
  const isFetched = plan.inputs.some((input) => input.volume === volume && job.record.inputs[input.id]);
  if (!isMounted || !isFetched || job.sourceOf(volume) === 'inputs' || job.record.filled.includes(volume)) return;
  const image = plan.images.find(({ id }) => job.images.has(id));
  const { inputs } = ground.jobs;
  if (!image || !inputs) throw new Error('nothing to fill a volume with');
  const path = '/volume';
  const mounts = [{ volume, path, read_only: false, from: 'volume' as const }];
  // One that an earlier life of the agent left may be half full: the same files again make it whole.
  const name = await createBare(job, image, { id: partId(job, 'fill'), mounts });
  try {
    await ground.engine.putArchive(name, path, tarOf(inputs.folderOf(job.id, volume)), signal);
  } finally {
    await ground.engine.remove(name, toItsEnd());
  }
  job.update({ filled: [...job.record.filled, volume] });
}
