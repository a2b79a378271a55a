/**
 * An image that a job names by its hash, as a computation payload manifest does.
 *
 *   for this platform? ─▶ OCI: pulled by digest
 *                    └─▶ GVMI: imported for this project before? ─▶ that
 *                                └─ no ─▶ downloaded ─▶ unpacked and imported, in one stream
 *
 * Safe to repeat: what was downloaded is kept, and goes on where it was; an import that was begun is begun anew.
 */
import { AgentError } from '../../contract/failures.ts';
import type { JobPlan, PayloadImage } from '../../contract/job-plan.ts';
import { ociReferences, type PlanPayload } from '../../contract/payload-manifest.ts';
import { findProgram, searchFolders } from '../../host/programs.ts';
import { streamProgram } from '../../host/stream-program.ts';
import { choosePayload, whyNoPayload } from '../../policy/choose-payload.ts';
import type { ImageFacts } from '../../policy/container-request.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import { isRepoDigestOf, parseImageReference, readAllowedImage } from '../../policy/image-reference.ts';
import type { JobInputs } from '../inputs/job-inputs.ts';
import type { RunningJob } from '../running-job.ts';
import { imageTar, type Unpacked } from './image-tar.ts';
import { readGvmi } from './read-gvmi.ts';

export interface WantedPayloadImage {
  /** Id of the image in the plan. */
  readonly id: string;
  readonly source: PayloadImage;
  /** Pulls by digest with the credentials of the job. */
  readonly pull: (reference: string) => Promise<ImageFacts>;
}

/** What the unpacker may use of the host: all of the agent's service has a GiB. */
const unpackerLimits = { memoryBytes: 2 ** 29, cpuSeconds: 1800 } as const;
const mostEntries = 1_000_000;
const gib = 2 ** 30;
const everyMs = 1000;

/** `payload.other_platform` where there is none for this host. */
export function payloadHere({ payload }: PayloadImage): PlanPayload {
  const chosen = choosePayload(payload, process.arch);
  if (chosen) return chosen;
  throw new AgentError('payload.other_platform', { reason: `It ${whyNoPayload(payload, process.arch)}.` });
}

/** As a pull fails, or with `payload.*`; `task.unsupported` where this process or this host cannot. */
export async function obtainPayload(
  job: RunningJob,
  wanted: WantedPayloadImage,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const chosen = payloadHere(wanted.source);
  const references = ociReferences(chosen);
  if (references.length > 0) return await pullFirst(references, job.ground.policy, wanted.pull, signal);
  const { inputs, builds } = job.ground.jobs;
  const { payloads } = job.ground.policy;
  if (!payloads) throw new AgentError('payload.denied');
  if (!inputs) throw new AgentError('task.unsupported', { reason: 'This process downloads no images.' });
  const request = { projectId: job.plan.identity.project_id, hash: chosen.hash };
  const known = await job.ground.engine.importedImage(request, signal);
  if (known) return known;
  const work = async () => {
    signal.throwIfAborted();
    // Another job of the project may have had it imported meanwhile.
    const made = await job.ground.engine.importedImage(request, signal);
    return made ?? (await importAnew(job, { id: wanted.id, chosen, inputs, limits: payloads }, signal));
  };
  return await builds.same.run(`${request.projectId} ${chosen.hash.toLowerCase()}`, work, signal);
}

/** Of those that the host allows. */
async function pullFirst(
  references: readonly string[],
  { registries }: HostPolicy,
  pull: WantedPayloadImage['pull'],
  signal: AbortSignal,
): Promise<ImageFacts> {
  const allowed = references.filter((reference) => readAllowedImage(reference, registries).ok);
  let trouble: unknown;
  for (const reference of allowed.length > 0 ? allowed : references) {
    try {
      return await pull(reference);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AgentError) || !error.code.startsWith('image.')) throw error;
      trouble ??= error;
    }
  }
  throw trouble;
}

interface Import {
  readonly id: string;
  readonly chosen: PlanPayload;
  readonly inputs: JobInputs;
  readonly limits: NonNullable<HostPolicy['payloads']>;
}

async function importAnew(
  job: RunningJob,
  { id, chosen, inputs, limits }: Import,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const { hash, urls } = chosen;
  const onProgress = ({
    bytes,
    bytes_total: total,
    url,
  }: {
    bytes: number;
    bytes_total: number | undefined;
    url: string;
  }) =>
    job.emit('image.progress', `${id}: ${bytes} of ${total ?? 'unknown'} bytes from ${url}`, {
      ...{ image: id, bytes, bytes_total: total ?? null, url },
    });
  const wanted = { hash, urls, maxBytes: Math.floor(limits.max_gib * gib) };
  return await inputs.withPayload(wanted, { signal, onProgress }, async (file) => {
    // One at a time: each has an unpacker of its own.
    return await job.ground.jobs.builds.same.run(
      'unpacking',
      () => unpack(job, { id, file, hash, limits }, signal),
      signal,
    );
  });
}

interface Downloaded extends Pick<Import, 'id' | 'limits'> {
  readonly file: string;
  readonly hash: string;
}

async function unpack(
  job: RunningJob,
  { id, file, hash, limits }: Downloaded,
  signal: AbortSignal,
): Promise<ImageFacts> {
  signal.throwIfAborted();
  const { ground } = job;
  const config = await readGvmi(file);
  const unpacker = await unpackerHere();
  let seen: Unpacked = { bytes: 0, entries: 0, leftOut: 0 };
  let toldMs = 0;
  const tell = (now: Unpacked) => {
    seen = now;
    if (Date.now() - toldMs < everyMs) return;
    toldMs = Date.now();
    job.emit('image.progress', `${id}: ${now.entries} files unpacked`, {
      ...{ image: id, unpacked_bytes: now.bytes, files: now.entries },
    });
  };
  const program = streamProgram(unpacker.prlimit, [unpacker.sqfs2tar, '--no-xattr', file], unpackerLimits);
  const tar = imageTar(program, { bytes: Math.floor(limits.unpacked_gib * gib), entries: mostEntries }, tell);
  const facts = await ground.engine.importImage({ projectId: job.plan.identity.project_id, hash }, tar, {
    ...{ signal, config, diskReserveBytes: ground.policy.reserves.disk_gib * gib, makeRoom: ground.jobs.room?.make },
  });
  const { bytes, entries, leftOut } = seen;
  ground.log.info({ image: id, bytes, files: entries, count: leftOut }, 'image unpacked and imported');
  return facts;
}

async function unpackerHere(): Promise<{ readonly prlimit: string; readonly sqfs2tar: string }> {
  const folders = searchFolders(process.env['PATH']);
  const [prlimit, sqfs2tar] = await Promise.all(['prlimit', 'sqfs2tar'].map((name) => findProgram(name, folders)));
  if (prlimit && sqfs2tar) return { prlimit, sqfs2tar };
  const missing = sqfs2tar ? 'prlimit (util-linux)' : 'sqfs2tar (squashfs-tools-ng)';
  throw new AgentError('task.unsupported', {
    reason: `This host has no ${missing}, by which such images are unpacked.`,
  });
}

/** By what a container of it is made: of what was imported its id, of what was pulled that by which the engine has it. */
export function payloadAtHand({ source }: Pick<JobPlan['images'][number], 'source'>, facts: ImageFacts): string {
  const references = source.kind === 'payload' ? ociReferences(payloadHere(source)) : [];
  const isHeld = (reference: string) =>
    facts.repoDigests.some((digest) => isRepoDigestOf(digest, parseImageReference(reference)));
  return references.find(isHeld) ?? facts.id;
}
