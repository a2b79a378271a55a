/** Which page is shown: `#/instances/ID?tab=logs`. Nothing in it is ever a secret: addresses are kept and shared. */
import type { ComponentChildren, JSX } from 'preact';
import { type Route, routeOf } from './route-of.ts';
import { shared, useShared } from './store.ts';

export type { Route };

const current = shared(routeOf(location.hash));
addEventListener('hashchange', () => current.set(routeOf(location.hash)));

export function useRoute(): Route {
  return useShared(current);
}

/** Goes to a page, given by its path: `/instances/ID`. */
export function navigate(path: string, { replace = false }: { readonly replace?: boolean } = {}): void {
  if (replace) location.replace(`#${path}`);
  else location.hash = path;
}

export type LinkProps = Omit<JSX.IntrinsicElements['a'], 'href' | 'role'> & {
  /** Path of the page: `/instances/ID`. */
  readonly to: string;
  readonly children: ComponentChildren;
};

export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a {...rest} href={`#${to}`}>
      {children}
    </a>
  );
}
