/** The address of a page, taken apart. */

export interface Route {
  /** Without query: `/instances/ID`. */
  readonly path: string;
  /** Its parts, decoded: `['instances', 'ID']`; empty for the catalog. */
  readonly parts: string[];
  readonly query: URLSearchParams;
}

/** What `#/instances/ID?tab=logs` means. */
export function routeOf(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?', 2);
  const parts = path.split('/').filter((part) => part !== '');
  return { path: `/${parts.join('/')}`, parts: parts.map(decoded), query: new URLSearchParams(query) };
}

/** People can type anything into an address. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
