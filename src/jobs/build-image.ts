/**
 * An image of a job that its host builds: once for each revision, whoever asks for it.
 *
 *   is it there? ─▶ yes: no fetch, no build
 *        └─ no ─▶ bases by digest ─▶ files of the revision ─▶ build
 *
 * Safe to repeat: what was fetched is kept, what was begun is built anew.
 */
import { bounds, cutText } from '../contract/bounds.ts';
import { AgentError } from '../contract/failures.ts';
import type { BuildImage } from '../contract/job-build.ts';
import { networkName } from '../contract/names.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import type { BuildOptions, BuildRequest, ContainerEngine } from '../runtime/engine.ts';
import { buildContext } from './build-context.ts';
import { type BuildLog, buildLogName } from './build-log.ts';
import type { InputProgress, JobInputs } from './inputs/job-inputs.ts';
import { noteOutputs } from './job-end.ts';
import type { RunningJob } from './running-job.ts';

export interface WantedBuild {
  /** Id of the image in the plan. */
  readonly id: string;
  readonly source: BuildImage;
  /** Pulls a base with the credentials of the job. */
  readonly pull: (reference: string) => Promise<unknown>;
}

interface BuildMeans {
  readonly inputs: JobInputs;
  readonly request: BuildRequest;
  readonly said: BuildLog;
  readonly signal: AbortSignal;
}

/** `task.unsupported` where this process fetches nothing; else as a pull, a fetch or a build fails. */
export async function obtainBuilt(job: RunningJob, wanted: WantedBuild, signal: AbortSignal): Promise<ImageFacts> {
  const { engine } = job.ground;
  const { builds, inputs } = job.ground.jobs;
  if (!inputs) throw new AgentError('task.unsupported', { reason: 'This process builds no images.' });
  const { project_id: projectId } = job.plan.identity;
  const { id, source } = wanted;
  const isOnline = source.network === 'bridge';
  const request = { projectId, source, network: isOnline ? networkName(job.id) : undefined };
  // Before anything is waited for: who follows it asks as soon as the job is being prepared.
  using said = builds.logs.open(job.id, buildLogName(job.plan, id));
  const known = await engine.builtImage(request, signal);
  if (known) return known;
  // Another job of the same revision may be building it.
  const key = `${projectId} ${source.revision_sha256}`;
  const work = async () => {
    signal.throwIfAborted();
    const made = await engine.builtImage(request, signal);
    if (made) return made;
    if (builds.places.isFull) {
      job.emit('image.progress', `${id}: waits until another build of this host is over`, { image: id, waiting: true });
    }
    return await builds.places.run(signal, async () => {
      signal.throwIfAborted();
      if (isOnline) await job.ensureNetwork();
      return await build(job, wanted, { inputs, request, said, signal });
    });
  };
  return await builds.same.run(key, work, signal);
}

async function build(job: RunningJob, { id, source, pull }: WantedBuild, means: BuildMeans): Promise<ImageFacts> {
  const { inputs, request, said, signal } = means;
  const { ground } = job;
  const { revision_sha256: sha256, revision_bytes: bytes } = source;
  for (const base of new Set(Object.values(source.bases))) await pull(base);
  const onFetch = ({ bytes: done }: InputProgress) =>
    job.emit('image.progress', `${id}: ${done} of ${bytes} bytes of its files`, {
      ...{ image: id, bytes: done, bytes_total: bytes },
    });
  const revision = { project_id: request.projectId, sha256, bytes };
  return await inputs.withRevision(revision, { signal, onProgress: onFetch }, async (file) => {
    let at = {};
    const say = (text: string) => {
      ground.log.info({ image: id, ...at, text: cutText(text.trimEnd(), bounds.line) }, 'build');
      said.push(text);
    };
    const options: BuildOptions = {
      ...{ signal, diskReserveBytes: ground.policy.reserves.disk_gib * 2 ** 30, makeRoom: ground.jobs.room?.make },
      onProgress: ({ step, steps, text, label }) => {
        at = { step, steps, ...(label !== undefined && { label }) };
        const named = label === undefined ? text : `init command ${label}: ${text}`;
        job.emit('image.progress', `${id}: step ${step} of ${steps}, ${named}`, { image: id, ...at });
        say(`Step ${step} of ${steps}: ${named}\n`);
      },
      onLog: say,
    };
    try {
      const { stream, labelOf } = await buildContext(file, source, (base) => envOf(base, ground.engine, signal));
      return await ground.engine.build(request, stream, { ...options, labelOf });
    } finally {
      await said.keep(job, toItsEnd());
      // Told before the job runs: who looks for it then knows that it is kept.
      noteOutputs(job);
    }
  });
}

/** Of a base that was pulled. */
async function envOf(base: string, engine: ContainerEngine, signal: AbortSignal): Promise<readonly string[]> {
  const facts = await engine.image(base, signal);
  if (!facts) throw new AgentError('image.not_found', { image: base });
  return facts.env;
}
