/** Lists and single things of the control plane, as tables and pages for people or as JSON for programs. */

import { printJson, printLine, table, tell } from '../output.ts';
import { harmlessJson, oneLine } from '../printable.ts';
import type { ControlPlaneClient, Query } from './client.ts';

export type Item = Readonly<Record<string, unknown>>;
/** Head of a column, and what stands in it. */
export type Column = readonly [string, (item: Item) => unknown];

export interface Shown {
  readonly json: boolean;
}

interface Listing extends Shown {
  readonly query?: Query;
  readonly columns: readonly Column[];
  readonly none: string;
  /** At most so many; all by default. */
  readonly limit?: number;
  /** Which of the items; all by default. */
  readonly only?: (item: Item) => boolean;
}

/** Prints all items of a list; `none` is said where there are none. */
export async function printList(
  client: ControlPlaneClient,
  path: string,
  { query, columns, none, json, limit = Number.POSITIVE_INFINITY, only = () => true }: Listing,
): Promise<void> {
  const items: Item[] = [];
  for await (const item of client.list<Item>(path, query)) {
    if (items.length >= limit) break;
    if (only(item)) items.push(item);
  }
  if (json) {
    printJson({ items });
  } else if (items.length === 0) {
    tell(none);
  } else {
    printLine(table([columns.map(([head]) => head), ...items.map((item) => columns.map(([, of]) => cell(of(item))))]));
  }
}

/** Prints one thing, as its page where it has one. */
export function printItem(item: Item, { json }: Shown, pageOf = itemText): void {
  if (json) printJson(item);
  else printLine(pageOf(item));
}

/** A line for each field. */
export function itemText(item: Item): string {
  return table(Object.entries(item).flatMap(([name, value]) => fieldLines(name, value)));
}

function fieldLines(name: string, value: unknown): string[][] {
  const label = name.replaceAll('_', ' ');
  if (Array.isArray(value) && value.length > 1) {
    return value.map((each, index) => [index === 0 ? label : '', cell(each)]);
  }
  return [[label, cell(Array.isArray(value) ? value[0] : value)]];
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') {
    return '-';
  }
  if (typeof value === 'boolean') {
    return value ? 'yes' : 'no';
  }
  // A host names itself: no line of its name may pass for one of the table.
  return typeof value === 'object' ? harmlessJson(value) : oneLine(String(value));
}

/** A field, or a field of a field: `shape.gpu_count`. */
export function field(path: string): (item: Item) => unknown {
  const keys = path.split('.');
  return (item) => keys.reduce<unknown>((inner, key) => (inner as Item | null | undefined)?.[key], item);
}
