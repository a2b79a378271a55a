/** Lists and single things of the control plane, as tables and pages for people or as JSON for programs. */

import { printJson, printLine, table, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
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
  const [first = '-', ...more] = linesOf(value);
  return [[labelOf(name), first], ...more.map((line) => ['', line])];
}

/** A line for each of a list; what has parts has one for all that are plain, and more for each of the others. */
function linesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(linesOf);
  if (!isParts(value)) return [plain(value)];
  const parts = Object.entries(value).filter(([, part]) => part !== null);
  const plainOnes = parts.filter(([, part]) => !isParts(part)).map(([name, part]) => `${labelOf(name)} ${plain(part)}`);
  const others = parts.filter(([, part]) => isParts(part));
  return [
    ...(plainOnes.length > 0 ? [plainOnes.join(', ')] : []),
    ...others.flatMap(([name, part]) => linesOf(part).map((line) => `${labelOf(name)}: ${line}`)),
  ];
}

function isParts(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function labelOf(name: string): string {
  return oneLine(name.replaceAll('_', ' '));
}

function cell(value: unknown): string {
  return linesOf(value).join('; ') || '-';
}

// A host names itself: no line of its name may pass for one of the table.
function plain(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : oneLine(String(value));
}

/** A field, or a field of a field: `shape.gpu_count`. */
export function field(path: string): (item: Item) => unknown {
  const keys = path.split('.');
  return (item) => keys.reduce<unknown>((inner, key) => (inner as Item | null | undefined)?.[key], item);
}
