/**
 * A table of many things: sorted by the buttons of its header, searched by words, and only the rows that can be seen are
 * in the page. All rows have one height, so that the others need not be measured.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { counted } from '../lib/format.ts';
import { matching, type SortableColumn, type Sorting, sorted, type Windowed, windowOf } from '../lib/table-rows.ts';
import { Icon } from './icon.tsx';
import { SearchBox } from './search-box.tsx';

export interface Column<T> extends SortableColumn<T> {
  /** What is shown; by default its value. */
  readonly cell?: (item: T) => ComponentChildren;
  /** Share of the width; default 1. */
  readonly share?: number;
  /** Only where there is room for it: not on a phone. */
  readonly wide?: boolean;
}

export interface DataTableProps<T> {
  /** What the rows are, for screen readers and the search box: `nodes`. */
  readonly name: string;
  /** The first one names the row: a `Link` in it makes the whole row a link. */
  readonly columns: readonly Column<T>[];
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string;
  readonly sorting?: Sorting | undefined;
  /** More filters, beside the search box. */
  readonly filters?: ComponentChildren;
  /** Instead of rows, where there are none at all. */
  readonly empty: ComponentChildren;
}

/** The same in `style.css`. */
const rowHeight = 48;
/** Fewer rows than this are simply all there. */
const fewRows = 60;

export function DataTable<T>({ name, columns, items, keyOf, sorting: initial, filters, empty }: DataTableProps<T>) {
  const [search, setSearch] = useState('');
  const [sorting, setSorting] = useState(initial);
  const rows = useMemo(
    () => sorted(matching(items, columns, search), columns, sorting),
    [items, columns, search, sorting],
  );
  const body = useRef<HTMLTableSectionElement>(null);
  const { first, end } = useWindow(body, rows.length);
  const shares = columns.reduce((sum, { share = 1 }) => sum + share, 0);

  return (
    <div class="table-box">
      <div class="table-tools">
        <SearchBox what={name} value={search} onValue={setSearch} />
        {filters}
        <span class="table-count" role="status">
          {rows.length === items.length
            ? counted(items.length, 'row')
            : `${rows.length} of ${counted(items.length, 'row')}`}
        </span>
      </div>
      {items.length === 0 ? (
        empty
      ) : (
        <table aria-label={name} aria-rowcount={rows.length + 1}>
          <colgroup>
            {columns.map(({ title, share = 1, wide }) => (
              <col key={title} class={wide ? 'wide' : undefined} style={{ width: `${(share / shares) * 100}%` }} />
            ))}
          </colgroup>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map((column) => (
                <HeadCell key={column.title} column={column} sorting={sorting} onSort={setSorting} />
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            <Gap rows={first} />
            {rows.slice(first, end).map((item, index) => (
              <tr key={keyOf(item)} aria-rowindex={first + index + 2}>
                {columns.map(({ title, value, cell = value, wide }, at) =>
                  at === 0 ? (
                    <th key={title} scope="row">
                      {cell?.(item)}
                    </th>
                  ) : (
                    <td key={title} class={wide ? 'wide' : undefined}>
                      {cell?.(item)}
                    </td>
                  ),
                )}
              </tr>
            ))}
            <Gap rows={rows.length - end} />
          </tbody>
        </table>
      )}
      {items.length > 0 && rows.length === 0 && <p class="table-none">Nothing matches “{search}”.</p>}
    </div>
  );
}

interface HeadCellProps<T> {
  readonly column: Column<T>;
  readonly sorting: Sorting | undefined;
  readonly onSort: (sorting: Sorting) => void;
}

function HeadCell<T>({ column: { title, value, wide }, sorting, onSort }: HeadCellProps<T>) {
  const isSorted = sorting?.by === title;
  const order = sorting?.descending ? 'descending' : 'ascending';
  return (
    <th scope="col" class={wide ? 'wide' : undefined} aria-sort={isSorted ? order : undefined}>
      {value ? (
        <button
          type="button"
          class="sort"
          onClick={() => onSort({ by: title, descending: isSorted && !sorting.descending })}
        >
          {title}
          {isSorted && <Icon name={sorting.descending ? 'down' : 'up'} />}
        </button>
      ) : (
        title
      )}
    </th>
  );
}

/** Takes the room of rows that are not in the page. One cell: over all columns it would count those that are hidden. */
function Gap({ rows }: { readonly rows: number }) {
  if (rows <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: an empty row takes no focus.
    <tr class="gap" aria-hidden="true" style={{ height: `${rows * rowHeight}px` }}>
      <td />
    </tr>
  );
}

/** Follows the scrolling of the page; renders anew only when other rows come into view. */
function useWindow(body: { readonly current: HTMLElement | null }, count: number): Windowed {
  const all = { first: 0, end: count };
  const look = (): Windowed => {
    if (count <= fewRows) return all;
    const scrolled = -(body.current?.getBoundingClientRect().top ?? 0);
    return windowOf(count, rowHeight, scrolled, innerHeight);
  };
  const [shown, setShown] = useState<Windowed>(() => windowOf(count, rowHeight, 0, innerHeight));
  useEffect(() => {
    const follow = () => {
      const next = look();
      setShown((last) => (last.first === next.first && last.end === next.end ? last : next));
    };
    follow();
    addEventListener('scroll', follow, { passive: true });
    addEventListener('resize', follow);
    return () => {
      removeEventListener('scroll', follow);
      removeEventListener('resize', follow);
    };
  }, [count]);
  return count <= fewRows ? all : { first: Math.min(shown.first, count), end: Math.min(shown.end, count) };
}
