/** Literals have to name something that is there when the op that holds them starts. */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import type { JobDefinition, Op } from './definition.ts';
import { type Literal, readLiterals } from './literals.ts';
import { type OpOrder, orderOf } from './op-order.ts';
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

export function checkLiterals(definition: JobDefinition): PathError[] {
  const order = orderOf(definition);
  const ids = definition.ops.map(({ id }) => id);
  const { variables: _, ...global } = definition.global ?? {};
  // What stands in `global` is put into each op: judged once, and without an order.
  const parts: { within: string; value: object; op?: string }[] = [
    { within: '/global', value: global },
    ...definition.ops.map(({ id, args }, index) => ({ within: `/ops/${index}/args`, value: args, op: id })),
  ];
  return parts.flatMap(({ within, value, op }) =>
    textsIn(value, '').flatMap(({ path: below, text }) => {
      const path = within + below;
      const read = readLiterals(text, ids);
      if (!read.ok) return [{ path, code: 'literal', message: `${read.literal} ${read.message}` }];
      const allowed = places.find(({ where }) => where.test(below))?.kinds ?? [];
      return read.pieces.flatMap((piece) => {
        if (typeof piece === 'string') return [];
        const message = allowed.includes(piece.kind)
          ? whyWrong(piece, op, definition, order)
          : 'cannot hold this literal: it has to be known before the job is sent to a host';
        return message === undefined ? [] : [{ path, code: 'literal', message }];
      });
    }),
  );
}

function whyWrong(
  literal: Literal,
  inOp: string | undefined,
  definition: JobDefinition,
  order: OpOrder,
): string | undefined {
  if (literal.kind === 'fact') return undefined;
  if (literal.kind === 'variable') {
    return Object.hasOwn(definition.global?.variables ?? {}, literal.name)
      ? undefined
      : `${literal.name} is no variable of /global/variables`;
  }
  const named = definition.ops.find(({ id }) => id === literal.op) as Op;
  if (literal.kind === 'host') {
    return named.type === 'container/run' ? undefined : `${literal.op} is no container`;
  }
  if (literal.kind === 'endpoint') {
    if (named.type !== 'container/run') return `${literal.op} is no container`;
    const { ranges, later } = exposedBy(named.args);
    const isExposed = ranges.some(({ first, last }) => first <= literal.port && literal.port <= last);
    return isExposed || later.length > 0 ? undefined : `${literal.op} does not expose ${literal.port}`;
  }
  if (!Object.hasOwn(named.results ?? {}, literal.name)) return `${literal.op} has no result ${literal.name}`;
  return inOp === undefined || order.precedes(literal.op, inOp)
    ? undefined
    : `${literal.op} has no result yet when ${inOp} starts; it has to be of an earlier group, or waited for`;
}

/** Every text in the value, with its path. */
function textsIn(value: unknown, path: string): { path: string; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, `${path}/${pointerToken(key)}`));
}
