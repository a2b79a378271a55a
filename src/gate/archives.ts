/**
 * Tars into and out of containers of jobs.
 *
 * Neither while the container is started: engines before 25 mount its volumes once more for it, where the look after the start sees them.
 * A start ends what is read (archive-reads.ts).
 * In only into a volume, and only before the container ever ran: what a task may do to a running one is what its program does.
 * Out of volumes at any other time. The engine, as root, resolves the path below the container's root and works in a root of its own
 * there, so that links which a container makes, even meanwhile, lead to nothing but its own files. One that is there on the way
 * when the gate looks is refused all the same: of a container that does not run, whoever asks for what is in a volume gets nothing
 * else. A program that puts a link there between that look and the engine's has another file of its own container read.
 * In only plain: engines before 29.5.1 unpack a compressed one, as root of the host, with a program of the container (CVE-2026-41567).
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import { sendAnswer, sendPlain, sendStream } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { askStat, isLink } from './engine-stat.ts';
import { namedVolumes } from './volumes.ts';

/** Bytes of a block of a tar. */
export const block = 512;

export async function putArchive(call: GateCall, gate: GateContext): Promise<void> {
  const { query, request, response, signal } = call;
  const { path = '' } = query;
  const { container } = await gate.containers.require(call.params['container'] ?? '', signal);
  // It is not started meanwhile.
  await gate.locks.run(`start ${container.id}`, async () => {
    signal.throwIfAborted();
    const { object } = await gate.containers.require(container.id, signal);
    const isTarget = volumesOf(object).some(({ target, readOnly }) => target === path && !readOnly);
    if (!isTarget) throw refusal('?path', 'path', 'must be where a volume of the container is mounted to be written');
    if (!isFresh(object)) throw refusal('', 'started', 'the container was started already');
    if (request.headers.expect !== undefined) response.writeContinue();
    const stream = await plainTar(request);
    const incoming = await gate.engine.stream({
      ...{ method: 'PUT', path: archiveOf(container.id), query: { path }, stream, signal },
      headers: { 'content-type': 'application/x-tar' },
    });
    // Who has its answer before all was read has no more to say on this connection.
    if (!request.complete) response.setHeader('connection', 'close');
    await sendStream(response, incoming);
  });
}

export async function getArchive(call: GateCall, gate: GateContext): Promise<void> {
  const { query, response } = call;
  const { path = '' } = query;
  const { container, object } = await gate.containers.require(call.params['container'] ?? '', call.signal);
  const volume = volumesOf(object).find(({ target }) => path === target || path.startsWith(`${target}/`));
  if (!volume || !isPlain(path)) throw refusal('?path', 'path', 'must be in a volume of the container');
  await gate.archiveReads.run(call.params['container'] ?? '', call.signal, async (signal) => {
    await gate.locks.run(`start ${container.id}`, async () => {
      signal.throwIfAborted();
      await assertNoLinks(container.id, { path, target: volume.target }, gate, signal);
      const archive = { path: archiveOf(container.id), query: { path }, signal };
      const answer = await gate.engine.plain(archive);
      if (!answer) await sendStream(response, await gate.engine.stream({ ...archive, method: 'GET' }));
      else if ('body' in answer) sendAnswer(response, answer);
      else await sendPlain(response, answer, signal);
    });
  });
}

const mostFolders = 64;

/** Of the folders on the way from where the volume is; as deep as they are there. */
async function assertNoLinks(
  id: string,
  { path, target }: { readonly path: string; readonly target: string },
  gate: GateContext,
  signal: AbortSignal,
): Promise<void> {
  const names = path
    .slice(target.length + 1)
    .split('/')
    .slice(0, -1);
  const refuse = (reason: string) => new AgentError('output.refused', { reason });
  if (names.length > mostFolders) throw refuse(`${target} is more than ${mostFolders} folders above it.`);
  for (const index of names.keys()) {
    const folder = `${target}/${names.slice(0, index + 1).join('/')}`;
    const { stat } = await askStat(id, folder, gate, signal);
    if (!stat) return;
    if (isLink(stat)) throw refuse(`${folder} is a link.`);
  }
}

/** All of the body, once its first block is seen to be of a tar. */
export async function plainTar(body: IncomingMessage): Promise<Readable> {
  const chunks: AsyncIterator<Buffer> = body.iterator({ destroyOnReturn: false });
  let head = Buffer.alloc(0);
  while (head.length < block) {
    const { done, value } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  if (!isTarBlock(head.subarray(0, block))) {
    await chunks.return?.();
    throw refusal('', 'tar', 'the body must be a tar, and not a compressed one');
  }
  return Readable.from(joined(head, chunks), { objectMode: false });
}

async function* joined(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  yield* { [Symbol.asyncIterator]: () => rest };
}

/** Every mark of a compression begins with `BZh`, or has a byte among its first four that no name of our tars has there. */
const unmarked = /^(?!BZh)[\x20-\x7e][\x20-\x7e\0]{3}/;

/** That of an entry whose name no engine takes for the mark of a compression, or the end of an empty tar. */
function isTarBlock(head: Buffer): boolean {
  if (head.length < block) return false;
  if (head.every((byte) => byte === 0)) return true;
  return head.toString('latin1', 257, 262) === 'ustar' && unmarked.test(head.toString('latin1', 0, 4));
}

function archiveOf(id: string): string {
  return `/containers/${id}/archive`;
}

/** None but for a container of a job. */
function volumesOf({ Config: { Labels }, HostConfig }: ContainerObject) {
  return Labels?.[labels.kind] === jobKind ? namedVolumes(HostConfig.Mounts ?? []) : [];
}

/** True if it never ran: the engine writes year 1 for a start that has not been. */
export function isFresh({ State: { Status, Running, StartedAt = '' } }: ContainerObject): boolean {
  return Status === 'created' && Running !== true && StartedAt.startsWith('0001-');
}

function isPlain(path: string): boolean {
  return !path
    .split('/')
    .slice(1)
    .some((segment) => segment === '' || segment === '.' || segment === '..');
}

function refusal(path: string, code: string, message: string): AgentError {
  return new AgentError('policy.refused', { errors: [{ path, code, message }] });
}
