/** Tabs as keyboards and screen readers know them: one stop of the Tab key, arrows between them. */
import type { ComponentChildren } from 'preact';
import { useId, useRef } from 'preact/hooks';

export interface TabChoice {
  readonly id: string;
  readonly title: string;
}

export interface TabsProps {
  /** What they are about, for screen readers. */
  readonly label: string;
  readonly tabs: readonly TabChoice[];
  readonly open: string;
  readonly onOpen: (id: string) => void;
  /** The panel of the open one. */
  readonly children: ComponentChildren;
}

const ways: Readonly<Record<string, (at: number, count: number) => number>> = {
  ArrowRight: (at, count) => (at + 1) % count,
  ArrowLeft: (at, count) => (at + count - 1) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

export function Tabs({ label, tabs, open, onOpen, children }: TabsProps) {
  const base = useId();
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    // From the one that has the focus: the open one may lag behind quick fingers.
    const from = tabs.findIndex(({ id }) => `${base}-tab-${id}` === (event.target as Element).id);
    const to = ways[event.key]?.(from, tabs.length);
    const next = to === undefined ? undefined : tabs[to];
    if (!next || to === undefined) return;
    event.preventDefault();
    onOpen(next.id);
    list.current?.querySelectorAll<HTMLButtonElement>('[role="tab"]')[to]?.focus();
  };
  return (
    <div class="tabs">
      <div ref={list} class="tab-list" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`${base}-tab-${id}`}
            class="tab"
            aria-selected={id === open}
            aria-controls={id === open ? `${base}-panel` : undefined}
            tabIndex={id === open ? 0 : -1}
            onClick={() => onOpen(id)}
          >
            {title}
          </button>
        ))}
      </div>
      <div
        key={open}
        class="tab-panel"
        role="tabpanel"
        id={`${base}-panel`}
        aria-labelledby={`${base}-tab-${open}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a panel may hold nothing that takes the focus.
        tabIndex={0}
      >
        {children}
      </div>
    </div>
  );
}
