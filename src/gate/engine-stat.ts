/** What an engine says of a path of a container: of the path itself, links on the way to it followed. */
import type { GateContext } from './context.ts';

/** As engines send it, base64 of JSON. */
export interface EngineStat {
  /** Go's. */
  readonly mode: number;
  /** What a link leads to in the container, all links on the way followed. */
  readonly linkTarget?: string;
}

const linkMode = 2 ** 27;

export function isLink({ mode }: EngineStat): boolean {
  return (mode & linkMode) !== 0;
}

/** Without `stat` where nothing is there, which is 404, or where the engine cannot say. */
export async function askStat(id: string, path: string, gate: GateContext, signal: AbortSignal) {
  const incoming = await gate.engine.stream({
    ...{ method: 'HEAD', path: `/containers/${id}/archive`, query: { path }, signal },
  });
  incoming.resume();
  const status = incoming.statusCode ?? 0;
  const header = incoming.headers['x-docker-container-path-stat'];
  if (status !== 200 || typeof header !== 'string') return { status, stat: undefined };
  return { status, stat: JSON.parse(Buffer.from(header, 'base64').toString()) as EngineStat };
}
