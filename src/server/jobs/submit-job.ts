/**
 * Takes a job in: its document is judged, its images become digests, its secrets are taken out, and somewhere it has to fit.
 * Everything that is wrong is told at once, by where it stands in the document.
 */
import { type Static, Type } from 'typebox';
import { ExeScript } from '../../contract/exe-script.ts';
import { AgentError } from '../../contract/failures.ts';
import { maxInlineBytes } from '../../contract/job-inputs.ts';
import { Sha256 } from '../../contract/job-outputs.ts';
import { CommandPolicy, imageName, JobIdentity, type JobPlan } from '../../contract/job-plan.ts';
import { ociReferences, SignedManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import type { ProjectManifest } from '../../manifests/computalot/manifest.ts';
import {
  asAskedFor,
  checkRequirements,
  checkShares,
  needsOf as leastOf,
  Requirements,
  type Storage,
  storageOf,
} from '../../manifests/computalot/requirements.ts';
import { dialectOf, foreign } from '../../manifests/dialects.ts';
import { type AcceptedJob, isJobDialect, type JobDialect, jobDialects, readJob } from '../../manifests/job-dialects.ts';
import { documentHash, type Secrets, takeSecrets } from '../../manifests/job-secrets.ts';
import type { RevisionWish } from '../../manifests/planned-job.ts';
import { jsonIn, maxManifestBytes, readDocument } from '../../manifests/read-document.ts';
import { usualJob, usualRetries } from '../../manifests/usual-job.ts';
import { errorsOfOrder, errorsOfPlan } from '../../policy/check-job-plan.ts';
import { readPlace, whyNeverAllowed } from '../../policy/promises/places.ts';
import { id } from '../db/entities/fields.ts';
import { type Batch, type Job, type JobNeeds, JobOptions } from '../db/entities/job.ts';
import type { Revision } from '../db/entities/revision.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import { found } from '../http/access.ts';
import type { Vault } from '../keys/vault.ts';
import { hostsOf } from './job-hosts.ts';
import { isFor, neverOf } from './job-queue.ts';
import { openStates } from './jobs-at-work.ts';
import { fitOf, inWordsOfNever } from './placement.ts';
import { planned, revisionWish } from './plan-job.ts';
import { type Resolving, resolveImages } from './resolve-images.ts';

/** Jobs of one project that are not over. */
const maxOpen = 1000;
const usualDiskGib = 1;

export const JobRequest = Type.Object(
  {
    document: Type.Optional(
      Type.Union(
        [
          Type.String({ maxLength: maxManifestBytes, description: 'As text, JSON or YAML.' }),
          Type.Record(Type.String(), Type.Unknown(), { description: 'As an object.' }),
        ],
        { description: 'What is to be done, in any dialect of jobs. This or `revision`.' },
      ),
    ),
    revision: Type.Optional({ ...Sha256, description: 'Revision of the project, by its sha256, that is to be run.' }),
    payload: Type.Optional(
      Type.Unknown({ description: 'Any JSON, which the task finds in a file. Only with `revision`.' }),
    ),
    requirements: Type.Optional({
      ...Requirements,
      description: 'What its host has to have, each in the place of what the revision says. Only with `revision`.',
    }),
    script: Type.Optional({
      ...ExeScript,
      description: 'Commands that are carried out under a computation payload manifest. Only with one.',
    }),
    proof: Type.Optional({
      ...SignedManifest.properties.proof,
      description: 'Signature of the manifest. What is signed is its base64, so `document` is then its text.',
    }),
    partner: SignedManifest.properties.partner,
    command_policy: Type.Optional({
      ...CommandPolicy,
      description: 'How `script` is held against the rules of the manifest; `strict` if absent.',
    }),
    dialect: Type.Optional(
      Type.Enum(jobDialects, { description: 'Kind of the document; by default the one that it is of.' }),
    ),
    project_id: Type.Optional(id('Project that owns it; that of the token if absent.')),
    name: Type.Optional({
      ...JobIdentity.properties.display_name,
      description: 'Name for people; by default that of its first step.',
    }),
    options: Type.Optional(JobOptions),
  },
  { additionalProperties: false, description: 'A job to be carried out.' },
);
export type JobRequest = Static<typeof JobRequest>;

/** A revision as its project has it, and what it says of itself. */
export interface ProjectFiles {
  readonly revision: Revision;
  readonly manifest: unknown;
  /** How large its image is on a host that has built it; undefined where none has said. */
  readonly imageBytes: number | undefined;
}

export interface PreparedJob {
  readonly name: string;
  readonly dialect: JobDialect;
  readonly sha256: string;
  /** Without secrets; of a job of a revision the manifest that was pushed. */
  readonly document: unknown;
  /** What the job alone asks for, in the place of what its manifest does. */
  readonly requirements: Requirements | undefined;
  readonly secrets: Secrets;
  readonly warnings: readonly PathError[];
  readonly options: Omit<Job['options'], 'allocation_id'>;
  readonly needs: JobNeeds;
  readonly images: Job['images'];
  readonly steps: Job['steps'];
  /** Of a job of a revision. */
  readonly build: RevisionWish | undefined;
  /** Of a job of a manifest. */
  readonly batch: Batch | undefined;
  readonly about: Job['about'];
}

/** All that needs no transaction; the registries are asked. `job.invalid` with every error. */
export async function prepareJob(
  request: Omit<JobRequest, 'project_id' | 'revision' | 'payload'> & {
    readonly payload: string | undefined;
    readonly now: number;
  },
  files: ProjectFiles | undefined,
  resolving: Resolving,
  signal: AbortSignal,
): Promise<PreparedJob> {
  const { dialect, document, read, manifest, batch } = files
    ? { ...understandProject(files, request), batch: undefined }
    : understand(request);
  const storage = files && manifest && storageFor(files, manifest);
  const asked = storage ? withRequirements(request.options, manifest, storage.gib) : request.options;
  const options = optionsOf(asked, read.usual);
  const sha256 = documentHash(document, read.hidden);
  const build = files && revisionWish(files.revision, request.payload);
  if (Buffer.byteLength(build?.payload ?? '') > maxInlineBytes) {
    const message = `must not be larger than ${maxInlineBytes} bytes as JSON: what is larger is data of the project, or a data source`;
    throw invalid([{ path: '/payload', code: 'too_large', message }]);
  }
  const sketch = { id: 'job', project_id: 'project', name: 'job', dialect, document_sha256: sha256, build, batch };
  const place = { allocationId: 'allocation', resources: sketchOf(asked) };
  const before = planned(read, { ...sketch, options, images: [] }, place);
  const { images, errors } = await resolveImages(before, resolving, signal);
  if (errors.length > 0) throw invalid(errors);
  const { plan } = planned(read, { ...sketch, options, images }, place);
  if (options.build_network === 'bridge' && plan.services.some(({ scope }) => scope === 'project')) {
    throw invalid([sharedOffline]);
  }
  const fenced = checkAllowed(options.allow, before.plan);
  if (fenced.length > 0) throw invalid(fenced);
  const unfit = errorsOfPlan(plan);
  if (unfit.length > 0) throw invalid(unfit.map((error) => ({ ...error, path: '', message: inPlan(error) })));

  const { document: bare, secrets } = takeSecrets(document, read.hidden);
  const imageOf = (wanted: string) => {
    const source = before.plan.images.find((image) => image.id === wanted)?.source;
    return source ? imageName(source) : '';
  };
  const steps = plan.steps.map(({ id: step, group, depends_on, image }) => ({
    ...{ id: step, name: read.nameOf(step), group, depends_on, image: imageOf(image) },
  }));
  return {
    name: request.name ?? steps[0]?.name.slice(0, 128) ?? dialect,
    ...{ dialect, sha256, document: bare, requirements: request.requirements, secrets },
    ...{ warnings: [...read.warnings, ...warningsOf(options, plan)], options, images: [...images], steps },
    ...{ build, batch, about: read.about },
    needs: {
      ...needsOf(asked, plan, read.gpuMemoryMib),
      ...partsOf(request.options, storage),
      ...(read.architectures && { architectures: [...read.architectures] }),
    },
  };
}

/** `document` is the manifest that a revision came with, `manifest` the same with the requirements of this job. */
function understandProject({ manifest: document }: ProjectFiles, { requirements }: Pick<JobRequest, 'requirements'>) {
  const manifest = asAskedFor(document as ProjectManifest, requirements);
  const errors = [...checkRequirements(manifest.requirements ?? {}, '/requirements'), ...checkShares(manifest)];
  if (errors.length > 0) throw invalid(errors);
  const read = readJob('computalot', manifest);
  if (!read.ok) throw outdated(read.errors);
  return { dialect: 'computalot' as const, document, read, manifest };
}

function storageFor(
  { revision: { bytes, bases }, imageBytes }: ProjectFiles,
  { requirements = {}, cache_mounts = [], artifacts = {} }: ProjectManifest,
): Storage {
  const packed = bases.reduce((sum, base) => sum + (base.bytes ?? 0), bytes);
  const { outputs = [] } = artifacts;
  return storageOf(requirements, {
    image: { bytes: imageBytes ?? packed, isPacked: imageBytes === undefined },
    caches: cache_mounts.reduce((sum, { max_bytes = 0 }) => sum + max_bytes, 0),
    hasCheckpoints: outputs.some(({ type }) => type === 'checkpoint'),
  });
}

/** Where the options say how much disk, nobody knows what that is for. */
function partsOf({ resources = {} }: JobOptions = {}, storage: Storage | undefined): Pick<JobNeeds, 'disk_parts'> {
  return storage && resources.disk_gib === undefined ? { disk_parts: [...storage.parts] } : {};
}

/** What the requirements ask for, where the options do not say it themselves. */
function withRequirements(
  options: JobOptions = {},
  { requirements = {} }: ProjectManifest,
  diskGib: number,
): JobOptions {
  const { gpu_count, cpu_cores, memory_gib } = leastOf(requirements);
  const least = {
    gpu_count,
    ...(cpu_cores > 0 && { cpu_cores }),
    ...(memory_gib > 0 && { memory_gib }),
    disk_gib: Math.max(diskGib, usualDiskGib),
  };
  return { ...options, sandbox: 'gvisor', resources: { ...least, ...options.resources } };
}

type Asked = Parameters<typeof prepareJob>[0];

function understand(request: Asked) {
  const { document: given, dialect: named } = request;
  const document = readDocument(typeof given === 'string' ? given : JSON.stringify(given));
  if (!document.ok) throw invalid(document.errors);
  const dialect = named ?? dialectOf(document.value);
  if (dialect === null) throw invalid([foreign]);
  if (!isJobDialect(dialect)) {
    const kinds = jobDialects.join(', ');
    const message = `describes an app, which is launched as an instance; documents of jobs are of the kinds ${kinds}`;
    throw invalid([{ path: '', code: 'no_job', message }]);
  }
  const read = readJob(dialect, document.value, { command_policy: request.command_policy, now: request.now });
  if (!read.ok) throw invalid(read.errors);
  if (read.needsRevision) {
    const message = 'is the manifest of a project: its files are pushed, and a job is of the revision that they become';
    throw invalid([{ path: '', code: 'no_revision', message }]);
  }
  const batch = batchOf(request, document.value, read);
  return { dialect, document: document.value, read: read as AcceptedJob, manifest: undefined, batch };
}

function optionsOf(given: JobOptions = {}, usual: AcceptedJob['usual'] = usualJob): PreparedJob['options'] {
  const { resources: { shm_gib, gpu_count = usual.gpu_count } = {}, allocation_id: _allocation, ...options } = given;
  const retries = usualRetries(options.checkpointing);
  return {
    ...usualJob,
    sandbox: usual.sandbox,
    retries,
    ...options,
    gpu_count,
    ...(shm_gib === undefined ? {} : { shm_gib }),
  };
}

/** What is carried out and who vouches for it; all that is wrong with it is told at once. */
function batchOf(request: Asked, document: unknown, read: AcceptedJob): Batch | undefined {
  const { document: given, script, proof, partner, command_policy } = request;
  if (!read.checkScript) {
    const stray = Object.entries({ script, proof, partner, command_policy }).filter(([, value]) => value !== undefined);
    if (stray.length === 0) return undefined;
    const message = 'is only for a computation payload manifest';
    throw invalid(stray.map(([key]) => ({ path: `/${key}`, code: 'contradiction', message })));
  }
  if (!script) {
    const message = 'is missing: a manifest says what may be run, and not what is';
    throw invalid([{ path: '/script', code: 'required', message }]);
  }
  const base64 = signedText(given);
  const unsignable: PathError[] =
    proof && base64 === undefined
      ? [
          {
            path: '/proof',
            code: 'bytes',
            message: 'needs the manifest as the text that was signed, JSON or its base64',
          },
        ]
      : [];
  const errors = [
    ...[...errorsOfOrder(script), ...read.checkScript(script)].map((error) => ({
      ...{ ...error, path: `/script${error.path}` },
    })),
    ...unsignable,
  ];
  if (errors.length > 0) throw invalid(errors);
  const manifest = base64 ?? Buffer.from(JSON.stringify(document)).toString('base64');
  return {
    ...{ script, signed_manifest: { manifest, ...(proof && { proof }), ...(partner && { partner }) } },
    ...(command_policy && { command_policy }),
  };
}

/** Base64 of a manifest, as it was signed: the text itself, or of its bytes. Undefined where nobody knows which they were. */
function signedText(given: JobRequest['document']): string | undefined {
  if (typeof given !== 'string') return undefined;
  if (jsonIn(given) !== undefined) return given.trim();
  return given.trimStart().startsWith('{') ? Buffer.from(given).toString('base64') : undefined;
}

/** Addresses that are asked for in place of whatever is public. */
function checkAllowed(allow: JobOptions['allow'], plan: JobPlan): PathError[] {
  if (!allow) return [];
  const path = '/options/allow';
  const no = (message: string): PathError[] => [{ path, code: 'contradiction', message }];
  if (plan.signed_manifest) return no('must be left out: the manifest itself says what may be reached');
  if (plan.services.some(({ scope }) => scope === 'project')) {
    return no('must be left out for a project with services of scope project, which are in a network of their own');
  }
  return allow.flatMap((address, index) => {
    const read = readPlace(address);
    const message = read.ok
      ? (whyNeverAllowed(read.rule) ?? (read.hasMore ? 'must end behind the host and its port' : undefined))
      : read.message;
    return message === undefined ? [] : [{ path: `${path}/${index}`, code: 'address', message }];
  });
}

/** Nothing but a checkpoint is handed on to another attempt. */
function warningsOf({ checkpointing }: PreparedJob['options'], { outputs }: JobPlan): PathError[] {
  if (checkpointing?.resume_from_latest !== true || outputs.some(({ type }) => type === 'checkpoint')) return [];
  const message = 'has nothing to go on from: no output of the job is of type checkpoint, so each attempt begins anew';
  return [{ path: '/options/checkpointing', code: 'no_checkpoint', message }];
}

const sharedOffline: PathError = {
  ...{ path: '/options/build_network', code: 'contradiction' },
  message:
    'must be none for a project with services of scope project: such a job is in the network of these, and a build has that of its job alone',
};

/** For a plan that is only looked at: nobody knows yet which host it gets, and so what is not said is no reason to refuse it. */
function sketchOf({ resources: { cpu_cores = 4096, memory_gib = 65_536 } = {} }: JobOptions = {}) {
  return { cpu_cores, memory_gib };
}

function needsOf(options: JobOptions = {}, plan: JobPlan, gpu_memory_mib = plan.gpu_memory_mib ?? 0): JobNeeds {
  const { resources = {} } = options;
  const { cpu_cores = null, memory_gib = null, shm_gib, disk_gib = usualDiskGib } = resources;
  const { gpu_count } = plan.resources;
  const least = memory_gib === null && shm_gib !== undefined ? { least_memory_gib: memoryFor(plan, shm_gib) } : {};
  const shared = plan.services.filter(({ scope }) => scope === 'project').length;
  const builds = plan.images.some(({ source }) => source.kind === 'build');
  // Where some are pulled, it is for the platform of the host to say.
  const downloads = plan.images.some(
    ({ source }) => source.kind === 'payload' && source.payload.every((each) => ociReferences(each).length === 0),
  );
  return {
    ...{ gpu_count, gpu_memory_mib, cpu_cores, memory_gib, ...least, disk_gib },
    ...(plan.sandbox !== 'runc' && { sandbox: plan.sandbox }),
    ...(builds && { builds }),
    ...(downloads && { downloads }),
    ...(plan.signed_manifest && { payload: true }),
    ...(plan.network === 'allow_list' && { allow_list: true }),
    ...(options.build_network === 'bridge' && { build_network: true }),
    ...(shared > 0 && { shared_services: true }),
    // Agents that know no states share either all services of a job or none.
    ...(shared > 0 && shared < plan.services.length && { service_states: true }),
  };
}

/** The steps of a group share the memory evenly, each in sixteenths of a GiB, and each has that much of /dev/shm. */
function memoryFor({ steps }: JobPlan, shmGib: number): number {
  const sizes = [...Map.groupBy(steps, ({ group }) => group).values()].map(({ length }) => length);
  return Math.max(...sizes) * (Math.ceil(shmGib * 16) / 16);
}

function inPlan({ path, message }: PathError): string {
  return `becomes a plan that no host accepts: ${path} ${message}`;
}

export interface Submission {
  readonly projectId: string;
  readonly allocationId: string | undefined;
  readonly tokenId: string;
  readonly cause: Cause;
}

export interface Taking {
  readonly vault: Vault;
  readonly isConnected: (nodeId: string) => boolean;
}

/** Keeps the job, queued; `job.unfit` where it could wait for ever. */
export async function keepJob(
  tx: Tx,
  { vault, isConnected }: Taking,
  { projectId, allocationId, tokenId, cause }: Submission,
  prepared: PreparedJob,
): Promise<Job> {
  found('project', projectId, await tx.projects.get(projectId));
  await assertRoom(tx, projectId);
  await assertAllocation(tx, projectId, allocationId);
  await assertFits(tx, { projectId, allocationId: allocationId ?? null }, prepared.needs, isConnected);
  const { name, dialect, sha256, document, requirements, secrets, warnings, options } = prepared;
  const { needs, images, steps, build, batch, about } = prepared;
  if (build) await assertRevision(tx, projectId, build);
  const at = new Date(cause.now).toISOString();
  const job: Job = {
    ...{ id: newId(cause.now), project_id: projectId, name, dialect, document_sha256: sha256 },
    ...{ options: { ...options, allocation_id: allocationId ?? null }, needs, images, steps, warnings: [...warnings] },
    ...{ state: 'queued', state_since: at, reason: 'It waits for its turn.', failure: null, steps_ended: 0 },
    ...{ attempts: [], cancelled_at: null, removal_task_id: null, created_at: at, created_by: tokenId },
    ...{ queued_at: at, started_at: null, ended_at: null, updated_at: at, trace_id: cause.correlationId },
    ...(build && { revision_sha256: build.revision_sha256 }),
    ...(about && { about }),
  };
  await tx.jobs.insert(job);
  const sealed = Object.keys(secrets).length === 0 ? null : vault.seal(JSON.stringify(secrets), job.id);
  const own = {
    ...(build?.payload !== undefined && { payload_json: build.payload }),
    ...(requirements && { requirements }),
    ...(batch && { batch }),
  };
  await tx.job_documents.insert({ id: job.id, document, sealed_secrets: sealed, ...own });
  await appendEvent(tx, cause, {
    ...{ type: 'job.submitted', project_id: projectId, subject: { kind: 'job', id: job.id } },
    message: `${name} was submitted: ${steps.length === 1 ? 'one step' : `${steps.length} steps`}.`,
    data: { dialect, document_sha256: sha256, images: images.map(({ reference }) => reference) },
  });
  return job;
}

async function assertRoom(tx: Tx, projectId: string): Promise<void> {
  if ((await tx.jobs.count({ project_id: projectId, state: openStates })) < maxOpen) return;
  throw new AgentError('resource.too_many', { reason: `The project has ${maxOpen} jobs that are not over.` });
}

/** It may have been removed since the job was looked at. */
async function assertRevision(tx: Tx, projectId: string, { revision_sha256: sha256 }: RevisionWish): Promise<void> {
  found('revision', sha256, await tx.revisions.find({ project_id: projectId, sha256 }));
}

async function assertAllocation(tx: Tx, projectId: string, allocationId: string | undefined): Promise<void> {
  const allocation = allocationId === undefined ? undefined : await tx.allocations.get(allocationId);
  if (allocationId === undefined || (allocation?.project_id === projectId && allocation.state === 'active')) return;
  const message = 'is no active allocation of the project';
  throw invalid([{ path: '/options/allocation_id', code: 'allocation', message }]);
}

/** Of a project without a host that has enrolled nobody knows what it will have, as long as it has an allocation. */
async function assertFits(
  tx: Tx,
  where: { readonly projectId: string; readonly allocationId: string | null },
  needs: JobNeeds,
  isConnected: (nodeId: string) => boolean,
): Promise<void> {
  const hosts = (await hostsOf(tx, where.projectId, isConnected)).filter((host) => isFor(where, host));
  const fits = hosts.map((host) => fitOf(needs, host));
  if (fits.some(({ is }) => is !== 'never')) return;
  if (fits.length > 0) throw new AgentError('job.unfit', { reason: `It needs ${inWordsOfNever(neverOf(fits))}.` });
  if ((await tx.allocations.count({ project_id: where.projectId, state: 'active' })) === 0) {
    throw new AgentError('job.unfit', { reason: 'The project has no active allocation.' });
  }
}

/** `revision.outdated`: the manifest was accepted with its revision, and is not any more. */
export function outdated(errors: readonly PathError[]): AgentError {
  const hint = 'Correct this place of computalot.project.json and push again.';
  return new AgentError('revision.outdated', { errors: errors.map((error) => ({ ...error, hint })) });
}

export function invalid(errors: readonly PathError[]): AgentError {
  const hint = 'Correct this place of the document.';
  return new AgentError('job.invalid', { errors: errors.map((error) => ({ ...error, hint })) });
}
