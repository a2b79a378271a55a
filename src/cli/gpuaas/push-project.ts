/**
 * `gpuaas jobs push`: files of an author become a revision. What is wrong with them is told here already, before anything is sent;
 * what is sent is the canonical tar, so the same files are the same revision whoever pushes them. Interrupted, it goes on where it was.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { openFolder } from '../../kit/tarball/open-folder.ts';
import { openTarball } from '../../kit/tarball/open-tarball.ts';
import { type Tarball, TarballRefused } from '../../kit/tarball/tarball.ts';
import { canonicalTar, writePacked } from '../../kit/tarball/write-tar.ts';
import { judgeFiles } from '../../server/revisions/judge-files.ts';
import { inManifest, inTarball, manifestOf, Refused } from '../../server/revisions/judge-push.ts';
import type { PushView, RevisionView } from '../../server/revisions/revision-routes.ts';
import { untilInterrupted } from '../interruption.ts';
import { tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { given } from './options.ts';
import { present } from './present.ts';
import { projectOf } from './revision-commands.ts';

export interface PushOptions {
  readonly project?: string;
  readonly json: boolean;
}

export interface PushedProject {
  readonly revision: RevisionView;
  /** False: it was there before, and nothing was sent. */
  readonly isNew: boolean;
}

const pieceBytes = 4 * 2 ** 20;
/** Pieces in a row that bring nothing. */
const maxIdle = 5;

/** `push.refused` with all that is wrong, by path; `push.interrupted` on Ctrl-C. */
export async function pushProject(
  client: ControlPlaneClient,
  path: string,
  { project, json }: PushOptions,
): Promise<PushedProject> {
  const { signal, stopListening } = untilInterrupted();
  const work = mkdtempSync(join(tmpdir(), 'gpuaas-push-'));
  try {
    const tarball = await readGiven(path, join(work, 'unpacked.tar'));
    await assertSound(tarball);
    signal.throwIfAborted();
    const file = join(work, 'canonical.tar');
    const { size, sha256 } = await writePacked(canonicalTar(tarball), file);
    const told = new Progress(json);
    told.packed(tarball, size, sha256);
    const ofProject = `/api/v1/projects/${encodeURIComponent(await projectOf(client, project))}`;
    const revisionPath = (sha: string) => `${ofProject}/revisions/${sha}`;
    const known = await ifThere(client.get<RevisionView>(revisionPath(sha256), {}, signal));
    if (known?.accepting_jobs) return { revision: known, isNew: false };
    const pushes = `${ofProject}/pushes`;
    const begun = await client.change<PushView>('POST', pushes, given({ bytes: size, sha256 }), signal);
    const sent = await upload(client, `${pushes}/${begun.id}`, { file, begun, told, signal });
    const revision = await judged(client, `${pushes}/${begun.id}`, sent, { json, signal });
    return { revision: await present<RevisionView>(client, revisionPath(revision), signal), isNew: true };
  } catch (error) {
    if (signal.aborted) throw new AgentError('push.interrupted', {}, { cause: error });
    throw asFailure(error);
  } finally {
    stopListening();
    rmSync(work, { recursive: true, force: true });
  }
}

async function readGiven(path: string, spool: string): Promise<Tarball> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isDirectory() && !stats?.isFile()) {
    const reason = stats ? `${path} is no file and no folder.` : `There is no ${path}.`;
    throw new AgentError('file.unusable', { reason, file: path });
  }
  return stats.isDirectory() ? await openFolder(path) : await openTarball({ file: path, spool });
}

/** As far as it can be judged without a control plane, which asks registries as well. */
async function assertSound(tarball: Tarball): Promise<void> {
  const { errors } = await judgeFiles(tarball, await manifestOf(tarball));
  if (errors.length > 0) throw new Refused(errors.map(inManifest));
}

async function ifThere<T>(asked: Promise<T>): Promise<T | undefined> {
  return await asked.catch((error: unknown) => {
    if (error instanceof AgentError && error.code === 'resource.not_found') return undefined;
    throw error;
  });
}

interface Upload {
  readonly file: string;
  readonly begun: PushView;
  readonly told: Progress;
  readonly signal: AbortSignal;
}

/** From where the control plane has it, until it has all. How much that is, is its own word each time. */
async function upload(
  client: ControlPlaneClient,
  path: string,
  { file, begun, told, signal }: Upload,
): Promise<PushView> {
  const handle = await open(file);
  try {
    told.sent(begun);
    let push = begun;
    for (let idle = 0; push.state === 'receiving'; told.sent(push)) {
      const { received } = push;
      push = await piece(client, path, { handle, push, signal });
      idle = push.received > received ? 0 : idle + 1;
      if (idle > maxIdle)
        throw new AgentError('push.damaged', { reason: `It does not go on behind ${received} bytes.` });
    }
    return push;
  } finally {
    await handle.close();
  }
}

interface Piece {
  readonly handle: FileHandle;
  readonly push: PushView;
  readonly signal: AbortSignal;
}

async function piece(client: ControlPlaneClient, path: string, { handle, push, signal }: Piece): Promise<PushView> {
  const bytes = new Uint8Array(Math.min(pieceBytes, push.bytes - push.received));
  await handle.read(bytes, 0, bytes.length, push.received);
  try {
    return await client.put<PushView>(path, bytes, { offset: push.received }, signal);
  } catch (error) {
    // The answer to a piece was lost, or somebody else sends the same.
    if (!(error instanceof AgentError) || error.code !== 'resource.conflict') throw error;
    return await present<PushView>(client, path, signal);
  }
}

/** Waits until it is a revision, whose sha256 this is. */
async function judged(
  client: ControlPlaneClient,
  path: string,
  sent: PushView,
  { json, signal }: { readonly json: boolean; readonly signal: AbortSignal },
): Promise<string> {
  let push = sent;
  if (push.state === 'judging') {
    const query = { subject_id: push.id };
    for await (const { data } of followEvents(client, '/api/v1/events', query, { after: '0', signal, json })) {
      const { type } = JSON.parse(data) as { readonly type: string };
      if (type === 'push.accepted' || type === 'push.refused') break;
    }
    push = await present<PushView>(client, path, signal);
  }
  if (push.revision_sha256 !== null) return push.revision_sha256;
  const { code = 'push.refused', detail = {} } = push.failure ?? {};
  throw new AgentError(code, { ...detail, errors: push.errors });
}

/** On stderr. */
class Progress {
  readonly #json: boolean;
  #tenths = -1;

  constructor(json: boolean) {
    this.#json = json;
  }

  packed({ entries, leftOut }: Tarball, bytes: number, sha256: string): void {
    const files = entries.filter(({ type }) => type === 'file').length;
    if (this.#json) {
      tellJson({ type: 'packed', sha256, bytes, files, left_out: leftOut.count });
      return;
    }
    tell(`${files} files, ${mebibytes(bytes)}, sha256 ${sha256}`);
    if (leftOut.count > 0)
      tell(oneLine(`Left out: ${leftOut.some.join(', ')}${leftOut.count > leftOut.some.length ? ', …' : ''}`));
  }

  /** Each tenth once. */
  sent({ received, bytes }: Pick<PushView, 'received' | 'bytes'>): void {
    const tenths = Math.floor((10 * received) / bytes);
    if (tenths === this.#tenths) return;
    this.#tenths = tenths;
    if (this.#json) tellJson({ type: 'sent', received, bytes });
    else tell(`sent ${10 * tenths}% of ${mebibytes(bytes)}`);
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function asFailure(error: unknown): unknown {
  if (error instanceof TarballRefused) return refused(inTarball(error));
  if (error instanceof Refused) return refused(error.errors);
  if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') return error;
  const reason = `There is no room for the tar in ${tmpdir()}; TMPDIR names another folder.`;
  return new AgentError('disk.full', { reason }, { cause: error });
}

function refused(errors: Refused['errors']): AgentError {
  return new AgentError('push.refused', { errors: errors.map((error) => ({ ...error })) });
}
