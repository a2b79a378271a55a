/** Which rows of a table are shown, and in which order. */

export interface Sorting {
  /** Title of the column. */
  readonly by: string;
  readonly descending: boolean;
}

export interface SortableColumn<T> {
  readonly title: string;
  /** What it is sorted and searched by; a column without cannot be. */
  readonly value?: (item: T) => string | number | null;
}

/** Rows that have all words of the search in one column or another. */
export function matching<T>(items: readonly T[], columns: readonly SortableColumn<T>[], search: string): readonly T[] {
  const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return items;
  return items.filter((item) => {
    const text = columns
      .map(({ value }) => value?.(item) ?? '')
      .join(' ')
      .toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** Rows by a column; those without a value come last either way. Without sorting, as they came. */
export function sorted<T>(
  items: readonly T[],
  columns: readonly SortableColumn<T>[],
  sorting: Sorting | undefined,
): readonly T[] {
  const value = columns.find(({ title }) => title === sorting?.by)?.value;
  if (!sorting || !value) return items;
  const direction = sorting.descending ? -1 : 1;
  return items
    .map((item) => ({ item, value: value(item) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null);
      const isNumber = typeof a.value === 'number' && typeof b.value === 'number';
      const order = isNumber ? Number(a.value) - Number(b.value) : collator.compare(String(a.value), String(b.value));
      return order * direction;
    })
    .map(({ item }) => item);
}

export interface Windowed {
  readonly first: number;
  /** Behind the last one. */
  readonly end: number;
}

/** Which of the rows a view of a height shows that begins so far below the first row; some more on both sides. */
export function windowOf(count: number, rowHeight: number, scrolled: number, viewHeight: number): Windowed {
  const more = 12;
  const first = Math.floor(scrolled / rowHeight) - more;
  const end = Math.ceil((scrolled + viewHeight) / rowHeight) + more;
  return { first: clamp(first, 0, count), end: clamp(end, 0, count) };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
