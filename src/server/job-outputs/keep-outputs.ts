/**
 * What is kept of jobs, as the store has it: announced by the node that runs the job, here once its bytes are, gone with the job.
 *
 *   pending ─▶ stored          refused (more than may be kept; judged anew whenever it is offered again)
 *
 * Of a name, the newest counts: once it is here, those before it go.
 */
import { type Static, Type } from 'typebox';
import {
  type EarlyOutput,
  KeptOutput,
  maxOutputs,
  type OutputOffer,
  type OutputReceived,
} from '../../contract/job-outputs.ts';
import { closed } from '../db/entities/fields.ts';
import type { Job } from '../db/entities/job.ts';
import { StoredOutput } from '../db/entities/job-output.ts';
import type { Node } from '../db/entities/node.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { found } from '../http/access.ts';
import { presentAttempt } from '../jobs/jobs-at-work.ts';
import { lateRefusal } from './late-outputs.ts';
import type { OutputFiles } from './output-files.ts';

export interface OutputLimits {
  /** Most bytes of one output. */
  readonly each: number;
  /** Most bytes of all outputs of the jobs of a project. */
  readonly project: number;
}

export const defaultOutputLimits: OutputLimits = { each: 64 * 2 ** 30, project: 256 * 2 ** 30 };

export interface OutputParts {
  readonly outputs: OutputFiles;
  readonly outputLimits: OutputLimits;
}

export const OutputView = Type.Object(
  { ...KeptOutput.properties, state: StoredOutput.properties.state, reason: StoredOutput.properties.reason },
  { ...closed, description: 'Something that was kept of a job.' },
);
export type ShownOutput = Static<typeof OutputView>;

/** The job, if it is this node that runs it, or ran it last; `resource.not_found` otherwise. */
export async function jobOfNode(tx: ReadTx, node: Node, jobId: string): Promise<Job> {
  const job = await tx.jobs.get(jobId);
  return found('job', jobId, job?.attempts.at(-1)?.node_id === node.id ? job : undefined);
}

export async function offer(
  tx: Tx,
  cause: Omit<Cause, 'who'>,
  node: Node,
  { job_id, output }: OutputOffer,
  parts: OutputParts,
): Promise<OutputReceived> {
  const job = await jobOfNode(tx, node, job_id);
  const { project_id } = job;
  const before = await tx.job_outputs.find({ job_id, name: output.name, sha256: output.sha256 });
  const late = await lateRefusal(tx, job, output);
  if (late !== null && before && before.state !== 'stored') await forget(tx, before, parts.outputs);
  const untenable = late ?? (await contradictionOf(tx, job_id, project_id, output));
  if (untenable !== null) return { received: 0, complete: false, refused: untenable };
  const content = { project_id, sha256: output.sha256, bytes: output.bytes };
  const isNew = before === undefined || before.state === 'refused';
  const reason = isNew ? await refusalOf(tx, content, parts.outputLimits) : null;
  const at = new Date(cause.now).toISOString();
  const row: StoredOutput = {
    ...{ id: before?.id ?? newId(cause.now), job_id, project_id, node_id: node.id, ...output },
    ...{ state: reason === null ? 'pending' : 'refused', reason },
    ...{ offered_at: before?.offered_at ?? at, stored_at: null },
  };
  if (reason === null && isNew) await use(tx, content, output.bytes);
  if (before === undefined) await tx.job_outputs.insert(row);
  else if (before.state !== 'stored') await tx.job_outputs.put(row);
  if (reason !== null) return { received: 0, complete: false, refused: reason };
  const early = parts.outputLimits.project - (await usedBy(tx, project_id));
  tx.afterCommit(() => parts.outputs.early.giveWay(project_id, early, row));
  if (before?.state !== 'stored' && parts.outputs.isWhole(content)) await arrived(tx, cause, content, parts);
  return { received: parts.outputs.received(content), complete: parts.outputs.isWhole(content), refused: null };
}

/** Begins to take an output of which nobody knows the sha256 yet, for the attempt that its node is at. */
export async function offerEarly(
  tx: ReadTx,
  node: Node,
  output: EarlyOutput,
  { outputs, outputLimits }: OutputParts,
): Promise<OutputReceived> {
  const { project_id, attempt } = await earlyOwner(tx, node, output.job_id);
  const left = outputLimits.project - (await usedBy(tx, project_id)) - outputs.early.bytesOf(project_id);
  const room = Math.min(outputLimits.each, left);
  return outputs.early.begin({ node_id: node.id, project_id, attempt }, output, room);
}

/** What is sent early is of an attempt that is at work; `resource.not_found` where there is none of this node. */
export async function earlyOwner(tx: ReadTx, node: Node, jobId: string) {
  const job = await jobOfNode(tx, node, jobId);
  const { number } = found('job', jobId, presentAttempt(job));
  return { project_id: job.project_id, attempt: number };
}

/** The bytes are here: whoever waits for them has them, but for a job that has ended meanwhile with others. */
export async function arrived(
  tx: Tx,
  cause: Omit<Cause, 'who'>,
  { project_id, sha256 }: Pick<StoredOutput, 'project_id' | 'sha256'>,
  { outputs }: Pick<OutputParts, 'outputs'>,
): Promise<void> {
  const stored_at = new Date(cause.now).toISOString();
  for (const row of await tx.job_outputs.list({ where: { project_id, sha256, state: 'pending' } })) {
    const job = await tx.jobs.get(row.job_id);
    if (!job || (await lateRefusal(tx, job, row)) !== null) {
      await forget(tx, row, outputs);
      continue;
    }
    await tx.job_outputs.put({ ...row, state: 'stored', stored_at });
    for (const older of await tx.job_outputs.list({ where: { job_id: row.job_id, name: row.name } })) {
      if (older.id !== row.id && !isWanted(job, older)) await forget(tx, older, outputs);
    }
    if (row.kind === 'log') continue;
    await appendEvent(
      tx,
      { ...cause, who: { actor: `node:${row.node_id}` } },
      {
        ...{ type: 'job.output_stored', project_id, subject: { kind: 'job', id: row.job_id } },
        message: `The ${row.kind} ${row.name} is here.`,
        data: { name: row.name, kind: row.kind, bytes: row.bytes, sha256 },
      },
    );
  }
}

/** An attempt goes on from it, and may not have it yet. */
function isWanted({ state, attempts }: Job, { name, sha256 }: StoredOutput): boolean {
  const from = attempts.at(-1)?.resumed_from ?? [];
  return (
    (state === 'queued' || state === 'preparing') && from.some((each) => each.name === name && each.sha256 === sha256)
  );
}

/** For a job that is removed: its outputs go with it. */
export async function forgetOutputs(tx: Tx, jobId: string, outputs: OutputFiles): Promise<void> {
  for (const row of await tx.job_outputs.list({ where: { job_id: jobId } })) await forget(tx, row, outputs);
  tx.afterCommit(() => outputs.early.dropOfJob(jobId));
}

async function forget(tx: Tx, row: StoredOutput, outputs: OutputFiles): Promise<void> {
  await tx.job_outputs.delete(row.id);
  if (row.state === 'refused') return;
  await use(tx, row, -row.bytes);
  tx.afterCommit(() => void outputs.drop(row).catch(() => undefined));
}

/** What is the same counts once: only the first that comes and the last that goes change anything. Called with the row not there. */
async function use(tx: Tx, { project_id, sha256 }: Pick<StoredOutput, 'project_id' | 'sha256'>, bytes: number) {
  if ((await tx.job_outputs.count({ project_id, sha256, state: ['pending', 'stored'] })) > 0) return;
  const before = await tx.job_output_use.get(project_id);
  const after = { id: project_id, bytes: Math.max(0, (before?.bytes ?? 0) + bytes) };
  if (before) await tx.job_output_use.put(after);
  else await tx.job_output_use.insert(after);
}

async function usedBy(tx: ReadTx, projectId: string): Promise<number> {
  return (await tx.job_output_use.get(projectId))?.bytes ?? 0;
}

/** Why an offer cannot be, whoever makes it: nothing is kept of it, as a node could make as many as it likes. */
async function contradictionOf(
  tx: ReadTx,
  jobId: string,
  projectId: string,
  { name, sha256, bytes }: KeptOutput,
): Promise<string | null> {
  const same = await tx.job_outputs.list({ where: { project_id: projectId, sha256, state: ['pending', 'stored'] } });
  const other = same.find((row) => row.bytes !== bytes);
  if (other) return `What has this sha256 was offered with ${other.bytes} bytes.`;
  if (await tx.job_outputs.find({ job_id: jobId, name, sha256 })) return null;
  const isFull = (await tx.job_outputs.count({ job_id: jobId })) >= maxOutputs;
  return isFull ? `The job has ${maxOutputs} outputs already.` : null;
}

async function refusalOf(
  tx: ReadTx,
  { project_id, sha256, bytes }: Pick<StoredOutput, 'project_id' | 'sha256' | 'bytes'>,
  { each, project }: OutputLimits,
): Promise<string | null> {
  if (bytes > each) return `It has ${gibibytes(bytes)}, and one output may have ${gibibytes(each)}.`;
  if ((await tx.job_outputs.count({ project_id, sha256, state: ['pending', 'stored'] })) > 0) return null;
  const used = await usedBy(tx, project_id);
  if (used + bytes <= project) return null;
  return `The project keeps ${gibibytes(used)} of its jobs, and with ${gibibytes(bytes)} more it would be above ${gibibytes(project)}.`;
}

/** What was kept of a job: what is here, or on its way, and what its node has said of and not offered yet. Newest of each name. */
export async function outputsOf(tx: ReadTx, jobId: string): Promise<ShownOutput[]> {
  const rows = (await tx.job_outputs.list({ where: { job_id: jobId } })).toSorted(byAge);
  const told = (await tx.job_news.get(jobId))?.outputs ?? [];
  const named = new Map<string, ShownOutput>(
    told.map((output) => [output.name, { ...output, state: 'pending', reason: null }]),
  );
  for (const row of rows) {
    const { name, kind, sha256, bytes, media_type, file_name, state, reason } = row;
    // One that is here is worth more than a newer one that is not.
    if (state === 'stored' || named.get(name)?.state !== 'stored') {
      named.set(name, { name, kind, sha256, bytes, media_type, file_name, state, reason });
    }
  }
  return [...named.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The output of that name that can be had; undefined where there is none. */
export async function storedOutput(tx: ReadTx, jobId: string, name: string): Promise<StoredOutput | undefined> {
  const rows = await tx.job_outputs.list({ where: { job_id: jobId, name } });
  return newestOf(rows);
}

/** Of rows of one name, the one that came last of those that are here. */
export function newestOf(rows: readonly StoredOutput[]): StoredOutput | undefined {
  return rows
    .filter(({ state }) => state === 'stored')
    .toSorted(byAge)
    .at(-1);
}

/** Ids of one moment are in the order in which they were made. */
const ageOf = ({ stored_at, id }: StoredOutput) => `${stored_at ?? ''} ${id}`;
const byAge = (a: StoredOutput, b: StoredOutput) => (ageOf(a) < ageOf(b) ? -1 : 1);

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
