/**
 * A page that lists things of the control plane. Its filters and where one is in a long list are in the address, so that
 * they can be kept and shared; what is searched and sorted is what is in the page.
 */
import type { ComponentChildren } from 'preact';
import { words } from '../lib/format.ts';
import { Link, navigate, useRoute } from '../lib/router.tsx';
import { type ResourceOptions, useResource } from '../lib/use-resource.ts';
import { type Column, DataTable, type DataTableProps } from './data-table.tsx';
import { Empty } from './empty.tsx';
import { Filter } from './field.tsx';
import type { IconName } from './icon.tsx';
import { Page, type PageProps, Shown } from './page.tsx';

export interface ListFilter<T> {
  /** Name in the address and for the control plane: `state`. */
  readonly name: string;
  /** `All states`. */
  readonly all: string;
  /** What is shown for each value. */
  readonly choices: ReadonlyMap<string, string>;
  /** The value of an item, where the control plane cannot filter by it. */
  readonly of?: (item: T) => string;
}

export interface ListPageProps<T>
  extends Omit<PageProps, 'children' | 'above' | 'badges'>,
    Omit<DataTableProps<T>, 'items' | 'filters' | 'empty' | 'keyOf'> {
  /** Of the interface: `/api/v1/nodes`. */
  readonly path: string;
  /** What of the address the control plane is asked by. */
  readonly asked: readonly string[];
  readonly options: ResourceOptions;
  readonly filters: (items: readonly T[]) => readonly ListFilter<T>[];
  /** One of them: `node`. */
  readonly one: string;
  readonly icon: IconName;
  /** Said where there is none at all, and what to do then. */
  readonly none: string;
  readonly hint?: ComponentChildren;
  /** Beside the list, for example a dialog. */
  readonly children?: ComponentChildren;
}

export function ListPage<T extends { readonly id: string }>(props: ListPageProps<T>) {
  const { path, asked, options, filters, one, icon, none, hint, children, name, columns, sorting, ...page } = props;
  const { query } = useRoute();
  const list = useResource<{ items: readonly T[]; next: string | null }>(listPath(path, query, asked), options);
  return (
    <Page {...page}>
      <Shown of={list} title={`The ${page.title.toLowerCase()} cannot be shown.`}>
        {({ items, next }) => {
          const offered = filters(items);
          const passes = (item: T) =>
            offered.every(({ name: by, of }) => of?.(item) === (of && (query.get(by) ?? of(item))));
          return (
            <>
              <DataTable
                {...{ name, columns, sorting }}
                items={items.filter(passes)}
                keyOf={({ id }) => id}
                filters={offered.map((filter) => <QueryFilter key={filter.name} {...filter} />)}
                empty={
                  <Empty icon={icon} title={query.size > 0 ? `No ${one} is like this.` : none}>
                    {query.size > 0 ? 'Choose other filters.' : hint}
                  </Empty>
                }
              />
              <Pager next={next} />
            </>
          );
        }}
      </Shown>
      {children}
    </Page>
  );
}

/** Path of a list with its filters and the page that the address says. 500 is the most that one page may have. */
function listPath(path: string, query: URLSearchParams, filters: readonly string[]): string {
  const asked = new URLSearchParams({ limit: '500' });
  for (const name of [...filters, 'after']) {
    const value = query.get(name);
    if (value) asked.set(name, value);
  }
  return `${path}?${asked}`;
}

/** The address with another value; without it where it is empty. */
function addressWith({ path, query }: { path: string; query: URLSearchParams }, name: string, value: string): string {
  const other = new URLSearchParams(query);
  other.delete('after');
  if (value === '') other.delete(name);
  else other.set(name, value);
  return `${path}?${other}`;
}

function QueryFilter<T>({ name, all, choices }: ListFilter<T>) {
  const route = useRoute();
  return (
    <Filter
      label={all}
      value={route.query.get(name) ?? ''}
      choices={[['', all] as const, ...choices].map(([value, label]) => ({ value, label }))}
      onValue={(value) => navigate(addressWith(route, name, value), { replace: true })}
    />
  );
}

function Pager({ next }: { readonly next: string | null }) {
  const route = useRoute();
  const isFirst = !route.query.has('after');
  if (next === null && isFirst) return null;
  return (
    <nav class="pager" aria-label="Pages of this list">
      {!isFirst && (
        <Link class="button" to={addressWith(route, 'after', '')}>
          Newest
        </Link>
      )}
      {next !== null && (
        <Link class="button" to={addressWith(route, 'after', next)}>
          Older
        </Link>
      )}
    </nav>
  );
}

/** Choices that are called as the control plane names them. */
export function inWords(...values: readonly string[]): ReadonlyMap<string, string> {
  return new Map(values.map((value) => [value, words(value)]));
}

interface Named {
  readonly id: string;
  readonly name: string;
  readonly display_name?: string;
}

/** What the things of a list are called, by their ids; empty while they are not known. */
export function useNames(path: string | null, options?: ResourceOptions): ReadonlyMap<string, string> {
  const { data } = useResource<{ items: Named[] }>(path && `${path}?limit=500`, options);
  return new Map(data?.items.map(({ id, name, display_name = name }) => [id, display_name]));
}

/** Whose something is. */
export function projectColumn<T extends { readonly project_id: string }>(
  names: ReadonlyMap<string, string>,
): Column<T> {
  return { title: 'Project', share: 1.3, wide: true, value: ({ project_id: id }) => names.get(id) ?? id };
}
