/** `node-agent caches`: what this host keeps of projects for their next jobs. */
import { AgentError } from '../../contract/failures.ts';
import type { KeptItem } from '../../contract/kept-items.ts';
import { exitCodes } from '../exit-codes.ts';
import { askAgent } from '../local-agent.ts';
import { printJson, printLine, table } from '../output.ts';
import { ago } from '../words.ts';

interface CachesOptions {
  readonly config?: string;
  readonly json: boolean;
}

interface Kept {
  readonly kept: readonly KeptItem[];
}

export async function listCaches({ config, json }: CachesOptions): Promise<number> {
  show(await (await askAgent(config)).ask<Kept>('/v1/caches'), json);
  return exitCodes.ok;
}

/** One, or with `all` whatever nobody uses. */
export async function removeCaches(
  id: string | undefined,
  { config, json, all }: CachesOptions & { readonly all: boolean },
): Promise<number> {
  if (all === (id !== undefined)) throw new AgentError('command.invalid', { reason: 'Say the ID of one, or --all.' });
  const body = id === undefined ? {} : { id };
  show(await (await askAgent(config)).ask<Kept>('/v1/caches/remove', { body }), json);
  return exitCodes.ok;
}

function show({ kept }: Kept, json: boolean): void {
  if (json) printJson({ kept });
  else printLine(describeKept(kept, Date.now()));
}

/** As text; `now` in milliseconds since 1970. */
export function describeKept(kept: readonly KeptItem[], now: number): string {
  if (kept.length === 0) return 'Nothing is kept for later jobs.';
  const rows = kept.map((each) => [
    ...[
      each.id,
      each.project_id,
      each.payload?.slice(0, 17) ?? each.revision_sha256.slice(0, 12),
      each.name ?? '(image)',
      each.class ?? '-',
    ],
    ...[mebibytes(each.bytes) ?? 'not measured', mebibytes(each.max_bytes) ?? '-'],
    ...[each.used_at === null ? '-' : ago(each.used_at, now), each.in_use ? 'in use' : 'free'],
  ]);
  return table([['ID', 'PROJECT', 'REVISION', 'NAME', 'CLASS', 'SIZE', 'MOST', 'USED', 'STATE'], ...rows]);
}

function mebibytes(bytes: number | null): string | undefined {
  return bytes === null ? undefined : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
