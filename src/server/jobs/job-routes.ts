/** `/api/v1/jobs`: submitting jobs, looking at them, and the actions on them. */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { maxManifestBytes } from '../../manifests/read-document.ts';
import { secretMark } from '../../manifests/secret-mark.ts';
import { Event } from '../db/entities/event.ts';
import { type Batch, Job, JobDocument } from '../db/entities/job.ts';
import type { Revision } from '../db/entities/revision.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { everybody, found, members, projectAsked, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import type { RevisionFiles } from '../revisions/revision-files.ts';
import { cancelJob, type Removing, removeJob } from './job-actions.ts';
import { JobListed, JobView, listedOf, viewOf } from './job-view.ts';
import { ownRepositories, type Resolving } from './resolve-images.ts';
import { JobRequest, keepJob, type ProjectFiles, prepareJob, type Taking } from './submit-job.ts';

const closed = { additionalProperties: false } as const;
const base = '/api/v1/jobs';
const one = { params: pathOf('job_id', 'The job.'), tag: 'jobs' } as const;

const DocumentView = Type.Object(
  {
    dialect: Job.properties.dialect,
    sha256: Job.properties.document_sha256,
    ...{ document: JobDocument.properties.document, requirements: JobDocument.properties.requirements },
    batch: JobDocument.properties.batch,
  },
  { ...closed, description: 'The document of a job, with its secrets replaced.' },
);

const Removed = Type.Object(
  {
    removed: Type.Boolean({
      description: 'False where its host still has to take away what is left of it; the job is listed until then.',
    }),
  },
  { ...closed, description: 'What became of a removal.' },
);

export interface JobRoutesOptions extends Taking, Removing {
  readonly store: Store;
  readonly revisions: Pick<RevisionFiles, 'has'>;
  readonly resolving: Omit<Resolving, 'isOwn'>;
}

/** A document is text in JSON, where each of its characters may take several. */
const bodyLimit = 2 * maxManifestBytes;

const ListQuery = listQuery({
  project_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this project.' })),
  state: Type.Optional(Job.properties.state),
});

export function jobRoutes(options: JobRoutesOptions): Route[] {
  const { store, vault, isConnected, queue, outputs, revisions, resolving } = options;
  return [
    route({
      ...{ method: 'POST', path: base, tag: 'jobs', summary: 'Submits a job. Use an `Idempotency-Key`.' },
      ...{ allow: members, body: JobRequest, bodyLimit, answer: JobView, status: 201 },
      prepare: async ({ body, sent, who, signal, now }) => {
        const projectId = projectAsked(who, body.project_id);
        const { isOwn, files } = await store.read(async (tx) => ({
          isOwn: await ownRepositories(tx),
          files: await filesAsked(tx, revisions, projectId, body),
        }));
        return prepareJob({ ...body, payload: payloadIn(sent), now }, files, { ...resolving, isOwn }, signal);
      },
      change: async ({ body, who, correlationId, now }, tx, prepared) => {
        const job = await keepJob(
          tx,
          { vault, isConnected },
          {
            ...{ projectId: projectAsked(who, body.project_id), allocationId: body.options?.allocation_id },
            ...{ tokenId: who.tokenId, cause: { who, correlationId, now } },
          },
          prepared,
        );
        return { body: await viewOf(tx, job) };
      },
    }),
    route({
      ...{ method: 'GET', path: base, tag: 'jobs', summary: 'Lists jobs.', allow: everybody },
      query: ListQuery,
      answer: listOf(JobListed),
      read: async ({ who, query }, tx) => {
        const { state } = query;
        const where = { ...projectFilter(who, query.project_id), ...(state === undefined ? {} : { state }) };
        const jobs = await tx.jobs.list({ where, ...pageOptions(query) });
        const { items, next } = page(jobs, query, (each) => each);
        const views: JobListed[] = [];
        for (const job of items) views.push(await listedOf(tx, job));
        return { items: views, next };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/{job_id}`, ...one, summary: 'Shows a job.', allow: everybody },
      answer: JobView,
      read: async ({ who, params: { job_id: id } }, tx) => viewOf(tx, await visibleJob(tx, who, id)),
    }),
    route({
      ...{ method: 'POST', path: `${base}/{job_id}/cancel`, ...one, allow: members, answer: JobView, status: 202 },
      summary: 'Ends a job, its containers with their grace. What is over stays as it is.',
      change: async (asked, tx) => {
        const job = await visibleJob(tx, asked.who, asked.params.job_id);
        return { body: await viewOf(tx, await cancelJob(tx, queue, asked, job)) };
      },
    }),
    route({
      ...{ method: 'DELETE', path: `${base}/{job_id}`, ...one, allow: members, answer: Removed },
      summary: 'Takes a job that is over out of the lists, and off its host what it was to keep there.',
      change: async (asked, tx) => {
        const job = await visibleJob(tx, asked.who, asked.params.job_id);
        return { body: { removed: await removeJob(tx, { queue, outputs }, asked, job) } };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/{job_id}/document`, ...one, allow: everybody, answer: DocumentView },
      summary: 'Shows the document that a job was submitted with, without its secrets.',
      read: async ({ who, params: { job_id: id } }, tx) => {
        const { dialect, document_sha256: sha256 } = await visibleJob(tx, who, id);
        const kept = found('document of job', id, await tx.job_documents.get(id));
        const { document, requirements, batch } = kept;
        return {
          dialect,
          sha256,
          document,
          ...(requirements && { requirements }),
          ...(batch && { batch: shownBatch(batch) }),
        };
      },
    }),
    route({
      ...{ method: 'GET', path: `${base}/{job_id}/events`, ...one, allow: everybody },
      summary: 'Lists what happened to a job, oldest first. `/api/v1/events?subject_id=` follows it.',
      query: Type.Object(
        {
          after: Type.Optional(Type.Integer({ minimum: 0, description: 'Begin behind this event.' })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Most events; default 200.' })),
        },
        closed,
      ),
      answer: Type.Object({ items: Type.Array(Event, { description: 'Oldest first.' }) }, closed),
      read: async ({ who, params: { job_id: id }, query: { after = 0, limit = 200 } }, tx) => {
        await visibleJob(tx, who, id);
        return { items: await tx.events.list({ after, limit, subject_id: id }) };
      },
    }),
  ];
}

export async function visibleJob(tx: ReadTx, who: Who, id: string): Promise<Job> {
  return visible(who, 'job', id, await tx.jobs.get(id));
}

/** Without what addresses of transfers have behind a `?`, which often is the right to read or to write there. */
function shownBatch({ script, ...rest }: Batch): Batch {
  const bare = (address: string) => address.replace(/\?.*$/s, `?${secretMark}`);
  return {
    ...rest,
    script: script.map((command) => {
      const { transfer } = command;
      return transfer ? { transfer: { from: bare(transfer.from), to: bare(transfer.to) } } : command;
    }),
  };
}

/** As JSON on one line, its numbers as they were written; undefined where there is none. */
function payloadIn(body: Buffer | undefined): string | undefined {
  const read = body && readStrictJson(body, { exact: true });
  return read?.ok ? JSON.stringify((read.value as { readonly payload?: unknown }).payload) : undefined;
}

/** Of a job of a revision; undefined for one of a document. */
async function filesAsked(
  tx: ReadTx,
  revisions: Pick<RevisionFiles, 'has'>,
  projectId: string,
  body: JobRequest,
): Promise<ProjectFiles | undefined> {
  const { revision: sha256, document, dialect, payload, requirements, options } = body;
  const { script, proof, partner, command_policy } = body;
  const wrong = (key: string, message: string) => ({ path: `/${key}`, code: 'contradiction', message });
  const isThere = (value: unknown) => value !== undefined;
  const errors =
    sha256 === undefined
      ? [
          ...(isThere(document)
            ? []
            : [wrong('document', 'is missing, and so is `revision`: it has to be one of them')]),
          ...(isThere(payload) ? [wrong('payload', 'is only for a job of a revision')] : []),
          ...(isThere(requirements) ? [wrong('requirements', 'is only for a job of a revision')] : []),
          ...(options?.build_network === 'bridge'
            ? [wrong('options/build_network', 'is only for a job of a revision: nothing else is built')]
            : []),
        ]
      : [
          ...(isThere(document) ? [wrong('document', 'must not be there beside `revision`')] : []),
          ...Object.entries({ dialect, script, proof, partner, command_policy }).flatMap(([key, value]) =>
            isThere(value) ? [wrong(key, 'must not be there beside `revision`')] : [],
          ),
          ...(options?.allow && options.build_network === 'bridge'
            ? [wrong('options/allow', 'must not be there beside `build_network`: a build has no list of addresses')]
            : []),
          ...(options?.sandbox === 'runc' ? [wrong('options/sandbox', 'must be gvisor for a job of a revision')] : []),
        ];
  if (errors.length > 0) throw new AgentError('request.invalid', { errors });
  if (sha256 === undefined) return undefined;
  const revision = found('revision', sha256, await tx.revisions.find({ project_id: projectId, sha256 }));
  if (!revisions.has(revision)) {
    const message = 'has lost its files: push them again';
    throw new AgentError('request.invalid', { errors: [wrong('revision', message)] });
  }
  const { manifest } = found('manifest of revision', sha256, await tx.revision_manifests.get(revision.id));
  return { revision, manifest, imageBytes: await builtBytes(tx, revision) };
}

/** The largest that hosts tell of: which of them gets the job nobody knows yet. */
async function builtBytes(tx: ReadTx, { project_id, sha256, prepared_on }: Revision): Promise<number | undefined> {
  const nodes = await Promise.all(prepared_on.map(({ node_id }) => tx.nodes.get(node_id)));
  const images = nodes
    .flatMap((node) => node?.inventory?.kept ?? [])
    .filter((item) => item.kind === 'image' && item.project_id === project_id && item.revision_sha256 === sha256);
  const sizes = images.flatMap(({ bytes }) => bytes ?? []);
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}
