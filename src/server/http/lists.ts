/** Lists in pages: newest first, a cursor that is an id, and an honest end. */
import { type TProperties, type TSchema, type TString, Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';

/** Query of a list, with filters of its own. */
export function listQuery<P extends TProperties>(filters: P) {
  return Type.Object(
    {
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 500, description: 'Most items of the page; default 100.' }),
      ),
      after: Type.Optional(Type.String({ pattern: identifierPattern, description: '`next` of the page before.' })),
      ...filters,
    },
    { additionalProperties: false },
  );
}

const lists = new WeakMap<TSchema, ReturnType<typeof newListOf>>();

/** A page of these. The same for the same item: a schema is compiled once as long as it is the same. */
export function listOf<S extends TSchema>(item: S) {
  return lists.getOrInsertComputed(item, () => newListOf(item)) as ReturnType<typeof newListOf<S>>;
}

function newListOf<S extends TSchema>(item: S) {
  return Type.Object(
    {
      items: Type.Array(item, { description: 'Newest first.' }),
      next: Type.Union([Type.String(), Type.Null()], { description: '`after` of the next page; null on the last.' }),
    },
    { additionalProperties: false, description: 'A page of a list.' },
  );
}

/** What a list of the store is asked for: one more than the page, to know whether another follows. */
export function pageOptions({ limit = 100, after }: { limit?: number; after?: string }) {
  return { limit: limit + 1, order: 'newest' as const, ...(after === undefined ? {} : { after }) };
}

export function page<E extends { readonly id: string }, A>(
  found: readonly E[],
  { limit = 100 }: { limit?: number },
  view: (entity: E) => A,
): { items: A[]; next: string | null } {
  const shown = found.slice(0, limit);
  return { items: shown.map(view), next: found.length > limit ? (shown.at(-1)?.id ?? null) : null };
}

/** The one parameter of a path. */
export function pathOf<const N extends string>(name: N, description: string) {
  const properties = { [name]: Type.String({ pattern: identifierPattern, description }) } as Record<N, TString>;
  return Type.Object(properties, { additionalProperties: false });
}
