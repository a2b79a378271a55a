/** The frame of a page: its title, where it stands, its actions, and the state of what it shows. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Link } from '../lib/router.tsx';
import type { Resource } from '../lib/use-resource.ts';
import { Button } from './button.tsx';
import { FailureView } from './failure-view.tsx';
import { Loading } from './loading.tsx';

export interface PageProps {
  readonly title: string;
  /** One sentence under the title. */
  readonly lead?: ComponentChildren;
  /** Pages above this one, outermost first. */
  readonly above?: readonly { readonly title: string; readonly to: string }[];
  /** Badges beside the title. */
  readonly badges?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Page({ title, lead, above = [], badges, actions, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · GPUaaS`;
  }, [title]);
  // Who walks by keyboard or ear begins at the top of the new page.
  useEffect(() => {
    const { activeElement } = document;
    if (!activeElement || activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <>
      <header class="page-head">
        <div class="page-title">
          {above.length > 0 && (
            <nav aria-label="Above this page" class="crumbs">
              {above.map(({ title: name, to }, index) => (
                <span key={to}>
                  {index > 0 && <span aria-hidden="true"> / </span>}
                  <Link to={to}>{name}</Link>
                </span>
              ))}
            </nav>
          )}
          <div class="page-name">
            <h1 ref={heading} tabIndex={-1}>
              {title}
            </h1>
            {badges}
          </div>
          {lead && <p class="page-lead">{lead}</p>}
        </div>
        {actions && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

export interface ShownProps<T> {
  readonly of: Resource<T>;
  /** What cannot be shown, for example `The nodes cannot be shown.` */
  readonly title: string;
  readonly children: (data: T) => ComponentChildren;
}

/** Loading, the failure with a way to try again, or the data; what is old is said to be. */
export function Shown<T>({ of, title, children }: ShownProps<T>) {
  const { data, error, stale, reload } = of;
  if (data === undefined) {
    if (!error) return <Loading />;
    return (
      <FailureView error={error} title={title}>
        <Button onClick={reload}>Try again</Button>
      </FailureView>
    );
  }
  return <div class={stale ? 'stale' : undefined}>{children(data)}</div>;
}

/** A titled box of a page. */
export function Section(props: {
  readonly title: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="section">
      <header class="section-head">
        <h2>{props.title}</h2>
        {props.actions}
      </header>
      {props.children}
    </section>
  );
}

/** Names and values; a value that is not there is left out. */
export function Facts({ facts }: { readonly facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
