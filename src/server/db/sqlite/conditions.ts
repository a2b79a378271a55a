/** Turns what a list asks for into SQL. Field names come from the declarations only, values are always bound. */
import type { SQLInputValue } from 'node:sqlite';

/** The expression that indexes and conditions share: SQLite uses an index only for exactly its expression. */
export function bodyField(field: string): string {
  if (!/^[a-z][a-z0-9_]*$/.test(field)) {
    throw new Error(`not the name of a field: ${field}`);
  }
  return `(body ->> '$.${field}')`;
}

export interface Conditions {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

interface Asked {
  readonly where?: object;
  readonly below?: object;
  readonly after?: string;
  readonly order?: 'oldest' | 'newest';
}

/** `WHERE …`, or nothing where everything is asked for. */
export function conditionsOf({ where = {}, below = {}, after, order }: Asked): Conditions {
  const parts: string[] = [];
  const values: SQLInputValue[] = [];
  for (const [field, wanted] of Object.entries(where)) {
    const options = Array.isArray(wanted) ? wanted : [wanted];
    parts.push(oneOf(bodyField(field), options));
    values.push(...options.filter((option) => option !== null));
  }
  for (const [field, limit] of Object.entries(below)) {
    parts.push(`${bodyField(field)} < ?`);
    values.push(limit as SQLInputValue);
  }
  if (after !== undefined) {
    parts.push(`id ${order === 'newest' ? '<' : '>'} ?`);
    values.push(after);
  }
  return { sql: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
}

function oneOf(expression: string, options: readonly unknown[]): string {
  const present = options.filter((option) => option !== null);
  const parts = [
    ...(present.length === 1 ? [`${expression} = ?`] : []),
    ...(present.length > 1 ? [`${expression} IN (${present.map(() => '?').join(', ')})`] : []),
    ...(present.length < options.length ? [`${expression} IS NULL`] : []),
  ];
  return parts.length === 0 ? 'FALSE' : `(${parts.join(' OR ')})`;
}
