/** Pushes and revisions, as the store has them: announced, here, and accepted or refused. */
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import type { Push, Revision } from '../db/entities/revision.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { found } from '../http/access.ts';
import { openStates, presentAttempt } from '../jobs/jobs-at-work.ts';
import type { RevisionFiles } from './revision-files.ts';

export interface RevisionLimits {
  /** Most bytes of one upload. */
  readonly each: number;
  /** Most bytes of all revisions of a project, and of pushes that are not over. */
  readonly project: number;
}

export const defaultRevisionLimits: RevisionLimits = { each: 2 * 2 ** 30, project: 64 * 2 ** 30 };

/** Of a project, that are not over. */
const maxPushes = 16;
/** Of a project. */
const maxRevisions = 1000;
/** Pushes that are here and not judged yet, each with up to three tars: of a project, of all that have more than one, and of all. */
const mostWaiting = { project: 8, usual: 64, all: 256, bytes: 64 * 2 ** 30 };
/** Nobody sends the rest of it any more. */
export const abandonedMs = 24 * 60 * 60 * 1000;

export interface Announced {
  readonly bytes: number;
  readonly sha256?: string;
}

/** The push to send bytes for; one that is accepted already where the project has that very tar as a revision, and it is here. */
export async function announce(
  tx: Tx,
  asked: Cause & { readonly who: { readonly tokenId: string } },
  projectId: string,
  { bytes, sha256 }: Announced,
  { limits, revisions }: { readonly limits: RevisionLimits; readonly revisions: Pick<RevisionFiles, 'has'> },
): Promise<Push> {
  found('project', projectId, await tx.projects.get(projectId));
  const open = await tx.pushes.list({ where: { project_id: projectId, state: ['receiving', 'judging'] } });
  const same = open.find((push) => sha256 !== undefined && push.sha256 === sha256 && push.bytes === bytes);
  if (same) return same;
  const known = sha256 === undefined ? undefined : await tx.revisions.find({ project_id: projectId, sha256 });
  const at = new Date(asked.now).toISOString();
  const push: Push = {
    ...{ id: newId(asked.now), project_id: projectId, sha256: sha256 ?? null, bytes, state: 'receiving' },
    ...{ revision_sha256: null, failure: null, errors: [], warnings: [], left_out: [] },
    ...{ created_at: at, created_by: asked.who.tokenId, ended_at: null, trace_id: asked.correlationId },
  };
  if (known?.bytes === bytes && revisions.has(known)) {
    const { warnings } = known;
    const accepted: Push = { ...push, state: 'accepted', revision_sha256: known.sha256, warnings, ended_at: at };
    await tx.pushes.insert(accepted);
    return accepted;
  }
  await assertRoom(tx, projectId, bytes, open, limits);
  await tx.pushes.insert(push);
  return push;
}

async function assertRoom(
  tx: ReadTx,
  projectId: string,
  bytes: number,
  open: readonly Push[],
  limits: RevisionLimits,
): Promise<void> {
  if (open.length >= maxPushes) {
    throw new AgentError('resource.too_many', { reason: `The project has ${maxPushes} pushes that are not over.` });
  }
  const revisions = await tx.revisions.list({ where: { project_id: projectId } });
  if (revisions.length >= maxRevisions) {
    throw new AgentError('resource.too_many', { reason: `The project has ${maxRevisions} revisions.` });
  }
  assertFits(bytes, [...open, ...revisions], limits);
}

function assertFits(
  bytes: number,
  kept: readonly { readonly bytes: number }[],
  { each, project }: RevisionLimits,
): void {
  if (bytes > each) {
    throw new AgentError('request.too_large', {
      reason: `It has ${gibibytes(bytes)}, and one may have ${gibibytes(each)}.`,
    });
  }
  const used = kept.reduce((sum, one) => sum + one.bytes, 0);
  if (used + bytes <= project) return;
  const reason = `The project keeps ${gibibytes(used)} of revisions, and with ${gibibytes(bytes)} more it would be above ${gibibytes(project)}.`;
  throw new AgentError('resource.too_many', { reason });
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

/**
 * `server.busy` where so many pushes wait to be judged that this one would wait long, and its tar lie here meanwhile. Some wait for
 * registries that never answer; so none takes the places of all others, and whoever has none waiting finds one.
 */
export async function assertJudgedSoon(tx: ReadTx, { project_id: projectId, bytes }: Push): Promise<void> {
  const waiting = await tx.pushes.list({ where: { state: 'judging' } });
  const own = waiting.filter((push) => push.project_id === projectId).length;
  const together = waiting.reduce((sum, push) => sum + push.bytes, bytes);
  const isCrowded = waiting.length >= mostWaiting.usual || together > mostWaiting.bytes;
  if (own < mostWaiting.project && waiting.length < mostWaiting.all && !(own > 0 && isCrowded)) return;
  const whose = own >= mostWaiting.project ? `${own} pushes of the project` : `${waiting.length} pushes`;
  const reason = `${whose} wait to be judged; what was sent of this one stays, and goes on in a moment.`;
  throw new AgentError('server.busy', { reason, retry_after_seconds: 15 });
}

/** All bytes are here. */
export async function arrived(tx: Tx, push: Push): Promise<Push> {
  if (push.state !== 'receiving') return push;
  const judging: Push = { ...push, state: 'judging' };
  await tx.pushes.put(judging);
  return judging;
}

export interface AcceptedFiles extends Pick<Revision, 'sha256' | 'bytes' | 'files' | 'bases'> {
  readonly manifest: unknown;
  readonly warnings: readonly PathError[];
  readonly left_out: readonly string[];
}

/**
 * Its tar is in its place. A revision that is there already keeps the images that it was accepted with. Throws where the tar, which
 * may be much larger than what was sent, is more than may be kept: then nothing has become of it.
 */
export async function accept(
  tx: Tx,
  { id }: Push,
  accepted: AcceptedFiles,
  { now, limits }: { readonly now: number; readonly limits: RevisionLimits },
): Promise<void> {
  const push = await tx.pushes.get(id);
  if (push?.state !== 'judging') return;
  const { project_id, created_by: pushed_by } = push;
  const { sha256, bytes, files, bases, manifest, left_out } = accepted;
  const at = new Date(now).toISOString();
  const before = await tx.revisions.find({ project_id, sha256 });
  const warnings = [...accepted.warnings, ...movedBases(before?.bases ?? bases, bases)];
  if (!before) {
    const open = await tx.pushes.list({ where: { project_id, state: ['receiving', 'judging'] } });
    const revisions = await tx.revisions.list({ where: { project_id } });
    assertFits(bytes, [...open.filter((other) => other.id !== id), ...revisions], limits);
    const content = { project_id, sha256, bytes, files, bases, warnings };
    const revision = { id: newId(now), ...content, pushed_at: at, pushed_by, prepared_on: [] };
    await tx.revisions.insert(revision);
    await tx.revision_manifests.insert({ id: revision.id, manifest });
  }
  await tx.pushes.put({
    ...{ ...push, state: 'accepted', revision_sha256: sha256, warnings, left_out: [...left_out], ended_at: at },
  });
  await appendEvent(tx, causeOf(push, now), {
    ...{ type: 'push.accepted', project_id, subject: { kind: 'push', id } },
    message: `What was pushed is revision ${sha256}.`,
    data: { sha256, bytes, files, is_new: before === undefined },
  });
}

/** A tag that names another image now than when the revision was accepted. */
function movedBases(kept: Revision['bases'], now: Revision['bases']): PathError[] {
  return now.flatMap(({ from, reference }) => {
    const before = kept.find((base) => base.from === from)?.reference;
    if (before === undefined || before === reference) return [];
    const message = `names ${from}, which is another image by now: the revision keeps ${before}`;
    return [{ path: '/build/dockerfile', code: 'base_moved', message }];
  });
}

export interface ListedFault extends PathError {
  readonly hint: string;
}

export async function refuse(
  tx: Tx,
  { id }: Push,
  { failure, errors }: { readonly failure: Failure; readonly errors: readonly ListedFault[] },
  now: number,
): Promise<void> {
  const push = await tx.pushes.get(id);
  if (push?.state !== 'judging') return;
  const listed = errors.slice(0, 1000).map(({ path, code, message, hint }) => ({
    ...{
      path: path.slice(0, 2000),
      code: code.slice(0, 64),
      message: message.slice(0, 2000),
      hint: hint.slice(0, 2000),
    },
  }));
  await tx.pushes.put({ ...push, state: 'refused', failure, errors: listed, ended_at: new Date(now).toISOString() });
  await appendEvent(tx, causeOf(push, now), {
    ...{ type: 'push.refused', project_id: push.project_id, subject: { kind: 'push', id } },
    message: failure.message,
    data: { code: failure.code, errors: listed.length },
  });
}

function causeOf({ created_by, trace_id }: Push, now: number): Cause {
  return { now, correlationId: trace_id, who: { actor: `token:${created_by}` } };
}

/** `revision.in_use` where a job that is not over is made of it. */
export async function removeRevision(tx: Tx, cause: Cause, revision: Revision, files: RevisionFiles): Promise<void> {
  const { id, project_id, sha256 } = revision;
  const jobs = await tx.jobs.list({ where: { revision_sha256: sha256, project_id } });
  const open = jobs.filter((job) => openStates.some((state) => state === job.state) || presentAttempt(job));
  if (open.length > 0) {
    const reason = `Not over: ${open
      .slice(0, 5)
      .map((job) => job.id)
      .join(', ')}${open.length > 5 ? ', …' : ''}.`;
    throw new AgentError('revision.in_use', { reason });
  }
  await tx.revisions.delete(id);
  await tx.revision_manifests.delete(id);
  tx.afterCommit(() => void files.drop(revision).catch(() => undefined));
  await appendEvent(tx, cause, {
    ...{ type: 'revision.removed', project_id, subject: { kind: 'revision', id } },
    message: `Revision ${sha256} was removed.`,
    data: { sha256 },
  });
}
