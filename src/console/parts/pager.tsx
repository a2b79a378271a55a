/** To the next page of a long list, and back to its newest. The page is in the address, so that it can be kept and shared. */
import { Link, useRoute } from '../lib/router.tsx';

/** Path of a list with its filters and the page that the address says. 500 is the most that one page may have. */
export function listPath(path: string, query: URLSearchParams, filters: readonly string[]): string {
  const asked = new URLSearchParams({ limit: '500' });
  for (const name of [...filters, 'after']) {
    const value = query.get(name);
    if (value) asked.set(name, value);
  }
  return `${path}?${asked}`;
}

export function Pager({ next }: { readonly next: string | null }) {
  const { path, query } = useRoute();
  if (next === null && !query.has('after')) return null;
  const to = (after: string | null) => {
    const other = new URLSearchParams(query);
    if (after === null) other.delete('after');
    else other.set('after', after);
    return `${path}?${other}`;
  };
  return (
    <nav class="pager" aria-label="Pages of this list">
      {query.has('after') && (
        <Link class="button" to={to(null)}>
          Newest
        </Link>
      )}
      {next !== null && (
        <Link class="button" to={to(next)}>
          Older
        </Link>
      )}
    </nav>
  );
}
