/** Literals have to name something that is there when the op that holds them starts. */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { each, ifSure, once, sure } from '../sure-parts.ts';
import type { JobDefinition, Op, RunOp } from './definition.ts';
import { type Literal, readLiterals } from './literals.ts';
import type { OpOrder } from './op-order.ts';
import { exposedBy } from './ports.ts';

type Kind = Literal['kind'];
const anywhere: readonly Kind[] = ['result', 'host', 'endpoint', 'fact', 'variable'];
/**
 * Which literals a text may hold, by where it stands. What decides where a job runs and what it may is known before it is
 * sent to a host, so nothing there can wait for a result.
 */
const places: readonly { readonly where: RegExp; readonly kinds: readonly Kind[] }[] = [
  { where: /^\/(cmd|entrypoint|work_dir)(\/\d+)?$|^\/env\/[^/]+$/, kinds: anywhere },
  {
    where: /^\/resources\/\d+\/(url|bucket|repo|revision|model|files\/\d+|buckets\/\d+\/(url|files\/\d+))$/,
    kinds: anywhere,
  },
  { where: /^\/image$/, kinds: ['variable'] },
  { where: /^\/expose(\/\d+)?(\/port|\/__spread__)?$/, kinds: ['result'] },
];

export function checkLiterals(definition: JobDefinition, order: OpOrder): readonly PathError[] {
  const { ops } = definition;
  const ids = once(() => ops.map(({ id }) => id));
  const exposed = new Map<Op, () => ReturnType<typeof exposedBy>>();
  const portsOf = (op: RunOp) => {
    const known = exposed.get(op) ?? once(() => exposedBy(op.args));
    exposed.set(op, known);
    return known();
  };
  const judgeText = (text: string, path: string, below: string, op?: () => string) => {
    const read = readLiterals(text, ids);
    if (!read.ok) return [{ path, code: 'literal', message: `${read.literal} ${read.message}` }];
    const allowed = places.find(({ where }) => where.test(below))?.kinds ?? [];
    return each(read.pieces, (piece) => {
      if (typeof piece === 'string') return [];
      const message = allowed.includes(piece.kind)
        ? whyWrong(piece, op, definition, { order, portsOf })
        : 'cannot hold this literal: it has to be known before the job is sent to a host';
      return message === undefined ? [] : [{ path, code: 'literal', message }];
    });
  };
  const judgeAll = (value: unknown, within: string, op?: () => string) =>
    each(textsIn(value, ''), ({ path, text }) => judgeText(text, within + path, path, op));
  return [
    // What stands in `global` is put into each op: judged once, and without an order.
    ...sure(() => {
      const { global = {} } = definition;
      const texts = textsIn(global, '').filter(({ path }) => !path.startsWith('/variables/'));
      return each(texts, ({ path, text }) => judgeText(text, `/global${path}`, path));
    }),
    ...each(ops, (op, index) => judgeAll(op.args, `/ops/${index}/args`, () => op.id)),
  ];
}

function whyWrong(
  literal: Literal,
  inOp: (() => string) | undefined,
  definition: JobDefinition,
  { order, portsOf }: { readonly order: OpOrder; readonly portsOf: (op: RunOp) => ReturnType<typeof exposedBy> },
): string | undefined {
  if (literal.kind === 'fact') return undefined;
  if (literal.kind === 'variable') {
    return Object.hasOwn(definition.global?.variables ?? {}, literal.name)
      ? undefined
      : `${literal.name} is no variable of /global/variables`;
  }
  const named = order.opOf(literal.op) as Op;
  if (literal.kind === 'host') {
    return named.type === 'container/run' ? undefined : `${literal.op} is no container`;
  }
  if (literal.kind === 'endpoint') {
    if (named.type !== 'container/run') return `${literal.op} is no container`;
    const { ranges, later } = portsOf(named);
    const isExposed = ranges.some(({ first, last }) => first <= literal.port && literal.port <= last);
    return isExposed || later.length > 0 ? undefined : `${literal.op} does not expose ${literal.port}`;
  }
  if (!Object.hasOwn(named.results ?? {}, literal.name)) return `${literal.op} has no result ${literal.name}`;
  const op = inOp?.();
  return op === undefined || order.precedes(literal.op, op)
    ? undefined
    : `${literal.op} has no result yet when ${op} starts; it has to be of an earlier group, or waited for`;
}

/** Every text in the value that is sure, with its path. */
function textsIn(value: unknown, path: string): { path: string; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) =>
    textsIn(
      ifSure(() => (value as Record<string, unknown>)[key]),
      `${path}/${pointerToken(key)}`,
    ),
  );
}
