/**
 * What is at a path of a container of a job: for the checks that come before a job, which need no shell in the image and no start.
 *
 * The engine, as root, resolves the path below the container's root. It does so in one step and looks in another, so a link that
 * somebody changes in between could lead out. So only a container that never ran, and has no volume that another one could have,
 * is looked into: nobody can change what is in it.
 */
import { AgentError } from '../contract/failures.ts';
import { jobKind, labels } from '../contract/names.ts';
import { sendJson } from './answers.ts';
import { isFresh } from './archives.ts';
import type { GateCall, GateContext } from './context.ts';
import { askStat, type EngineStat, isLink } from './engine-stat.ts';

/** Answer of the call; null where nothing is there. */
export interface PathFacts {
  /** Of what a link leads to. */
  readonly kind: 'file' | 'folder' | 'other';
  /** True if somebody may execute it. */
  readonly executable: boolean;
}

const isFolder = 2 ** 31;
/** Pipes, sockets, devices and what has no name. */
const isSpecial = (2 ** 26) | (2 ** 25) | (2 ** 24) | (2 ** 21) | (2 ** 19);
const anyExecute = 0o111;
/** An engine follows links itself; one that is left after that leads to nothing. */
const mostLinks = 4;

export async function statPath({ query, params, response, signal }: GateCall, gate: GateContext): Promise<void> {
  const { path = '' } = query;
  const { container } = await gate.containers.require(params['container'] ?? '', signal);
  // It is not started meanwhile.
  const found = await gate.locks.run(`start ${container.id}`, async () => {
    signal.throwIfAborted();
    const { object } = await gate.containers.require(container.id, signal);
    const isBare = object.Config.Labels?.[labels.kind] === jobKind && (object.HostConfig.Mounts ?? []).length === 0;
    if (!isBare) throw refusal('', 'container', 'must be a container of a job without volumes');
    if (!isFresh(object)) throw refusal('', 'started', 'the container was started already');
    if (!path.startsWith('/')) throw refusal('?path', 'path', 'must be absolute');
    return await follow(container.id, path, gate, signal);
  });
  sendJson(response, 200, found);
}

async function follow(id: string, path: string, gate: GateContext, signal: AbortSignal): Promise<PathFacts | null> {
  let at = path;
  for (let links = 0; links <= mostLinks; links += 1) {
    const stat = await statOf(id, at, gate, signal);
    if (stat === null) return null;
    const { mode, linkTarget = '' } = stat;
    if (!isLink(stat)) return { kind: kindOf(mode), executable: (mode & anyExecute) !== 0 };
    if (!linkTarget.startsWith('/')) return null;
    at = linkTarget;
  }
  return null;
}

function kindOf(mode: number): PathFacts['kind'] {
  if ((mode & isFolder) !== 0) return 'folder';
  return (mode & isSpecial) === 0 ? 'file' : 'other';
}

/** A file on the way, or links without end, are an error of the engine's own to it: then its root tells whether it is well. */
async function statOf(id: string, path: string, gate: GateContext, signal: AbortSignal): Promise<EngineStat | null> {
  const { status, stat } = await askStat(id, path, gate, signal);
  if (stat) return stat;
  if (status === 404) return null;
  const root = path === '/' ? undefined : await askStat(id, '/', gate, signal);
  if (!root?.stat) throw new AgentError('engine.failed', { status, reason: 'It does not say what is in a container.' });
  return null;
}

function refusal(path: string, code: string, message: string): AgentError {
  return new AgentError('policy.refused', { errors: [{ path, code, message }] });
}
