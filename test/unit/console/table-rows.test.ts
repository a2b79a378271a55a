import { expect, it } from 'vitest';
import { matching, type SortableColumn, sorted, windowOf } from '../../../src/console/lib/table-rows.ts';

interface Row {
  readonly name: string;
  readonly count: number | null;
}

const columns: SortableColumn<Row>[] = [
  { title: 'name', value: ({ name }) => name },
  { title: 'count', value: ({ count }) => count },
  { title: 'actions' },
];
const rows: Row[] = [
  { name: 'node-10', count: 3 },
  { name: 'Node-9', count: null },
  { name: 'node-1', count: 20 },
];

it('sorts names as people count them', () => {
  const names = sorted(rows, columns, { by: 'name', descending: false }).map(({ name }) => name);

  expect(names).toEqual(['node-1', 'Node-9', 'node-10']);
});

it('puts what has no value last, in either direction', () => {
  const counts = (descending: boolean) => sorted(rows, columns, { by: 'count', descending }).map(({ count }) => count);

  expect(counts(false)).toEqual([3, 20, null]);
  expect(counts(true)).toEqual([20, 3, null]);
});

it('leaves the order as it came where a column cannot be sorted by', () => {
  expect(sorted(rows, columns, { by: 'actions', descending: true })).toBe(rows);
});

it('finds rows that have all words, in any column', () => {
  expect(matching(rows, columns, ' NODE 20 ').map(({ name }) => name)).toEqual(['node-1']);
});

it('shows the rows in view and some on both sides, never more than there are', () => {
  expect(windowOf(1000, 50, 5000, 500)).toEqual({ first: 88, end: 122 });
  expect(windowOf(1000, 50, -300, 500)).toEqual({ first: 0, end: 16 });
  expect(windowOf(20, 50, 90_000, 500)).toEqual({ first: 20, end: 20 });
});
