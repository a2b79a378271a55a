/** A container of a plan with every value in it known. */
import { AgentError } from '../contract/failures.ts';
import type { JobStep } from '../contract/job-plan.ts';
import type { Part } from './parts.ts';
import { type KnownValues, rationed, resolveEnv, resolveList, resolveText } from './resolve-values.ts';

export interface ResolvedPart {
  readonly command: readonly string[] | undefined;
  readonly entrypoint: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly work_dir: string | undefined;
  readonly ports: readonly ExposedPort[];
}

/** A port that a container listens on, and how it is asked whether it is well. */
export interface ExposedPort {
  readonly port: number;
  readonly protocol: 'http' | 'tcp';
  readonly checks: readonly Check[];
}

export type Check = Extract<JobStep['expose'][number], { kind: 'port' }>['checks'][number];

/** Most ports of one container, whatever a value says. */
const mostPorts = 256;

/** Throws `step.unresolved`, naming the reference, for what is not known. */
export function resolvePart(part: Part, all: KnownValues): ResolvedPart {
  const known = rationed(all);
  const list = (value: Part['command']) => value && resolveList(value, known);
  return {
    ...{ command: list(part.command), entrypoint: list(part.entrypoint), env: resolveEnv(part.env, known) },
    work_dir: part.work_dir === undefined ? undefined : resolveText(part.work_dir, known) || undefined,
    ports: portsOf(part.expose, known),
  };
}

function portsOf(expose: Part['expose'], known: KnownValues): ExposedPort[] {
  const all = expose.flatMap((each): ExposedPort[] => {
    if (each.kind === 'port') return [each];
    const items = [each.chunked ? { spread: each.from, chunked: true } : each.from];
    const words = resolveList({ items, omit_if_empty: false }, known) ?? [];
    return words.flatMap(numbersIn).map((port) => ({ port, protocol: 'http' as const, checks: [] }));
  });
  const ports = [...new Map(all.map(({ port, protocol, checks }) => [port, { port, protocol, checks }])).values()];
  if (ports.length > mostPorts) throw unusable(`${ports.length} ports are more than ${mostPorts}`);
  return ports;
}

/** A number, or a range such as `8000-8010`. */
function numbersIn(text: string): number[] {
  const [, first, last = first] = /^\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from < 1 || to > 65_535 || from > to)
    throw unusable('it is neither a port nor a range of ports');
  if (to - from >= mostPorts) throw unusable(`the range has more than ${mostPorts} ports`);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function unusable(what: string): AgentError {
  return new AgentError('step.unresolved', { reason: `What is to be published cannot be: ${what}.` });
}
