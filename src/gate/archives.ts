/**
 * Tars into and out of containers of jobs.
 *
 * In only into a volume, and only before the container ever ran: what a task may do to a running one is what its program does.
 * Out of volumes at any time. The engine, as root, resolves the path below the container's root and works in a root of its own
 * there, so that links which a container makes, even meanwhile, lead to nothing but its own files.
 */
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import { sendStream } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import type { ContainerObject } from './engine-objects.ts';
import { namedVolumes } from './volumes.ts';

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
    const incoming = await gate.engine.stream({
      ...{ method: 'PUT', path: archiveOf(container.id), query: { path }, stream: request, signal },
      headers: { 'content-type': 'application/x-tar' },
    });
    // Who has its answer before all was read has no more to say on this connection.
    if (!request.complete) response.setHeader('connection', 'close');
    await sendStream(response, incoming);
  });
}

export async function getArchive(call: GateCall, gate: GateContext): Promise<void> {
  const { query, response, signal } = call;
  const { path = '' } = query;
  const { container, object } = await gate.containers.require(call.params['container'] ?? '', signal);
  const isInside = volumesOf(object).some(({ target }) => path === target || path.startsWith(`${target}/`));
  if (!isInside || !isPlain(path)) throw refusal('?path', 'path', 'must be in a volume of the container');
  const incoming = await gate.engine.stream({ method: 'GET', path: archiveOf(container.id), query: { path }, signal });
  await sendStream(response, incoming);
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
