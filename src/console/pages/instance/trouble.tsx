/** What went wrong with an instance, a job or a step of one, with what it said and all that is known of it. */
import type { ComponentChildren } from 'preact';
import { words } from '../../lib/format.ts';
import { FailureView } from '../../parts/failure-view.tsx';
import { Facts } from '../../parts/page.tsx';
import { cleanLine, cleanLines } from './clean-text.ts';

interface TroubleProps {
  readonly failure: {
    readonly code: string;
    readonly message: string;
    readonly hint: string;
    readonly detail: Readonly<Record<string, unknown>>;
  };
  /** What to do about it. */
  readonly way?: ComponentChildren;
  /** Where to look on. */
  readonly children?: ComponentChildren;
}

export function Trouble({ failure: { code, message, hint, detail }, way, children }: TroubleProps) {
  const { reason: _said, excerpt, ...rest } = detail;
  const facts = Object.entries(rest).map(([name, value]) => [words(name), factText(value)] as const);
  return (
    <FailureView error={{ code, message: cleanLine(message), hint: cleanLine(hint) }}>
      {way && <p>{way}</p>}
      {typeof excerpt === 'string' && excerpt !== '' && <Excerpt title="What it said" text={excerpt} isOpen />}
      {facts.length > 0 && (
        <details>
          <summary>Facts of this failure</summary>
          <Facts facts={facts} />
        </details>
      )}
      {children}
    </FailureView>
  );
}

/** Any value on one line. */
export function factText(value: unknown): string {
  return cleanLine(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}

interface ExcerptProps {
  readonly title: string;
  readonly text: string;
  readonly isOpen?: boolean;
}

/** Some lines of somebody else's output, in a box of its own. */
export function Excerpt({ title, text, isOpen = false }: ExcerptProps) {
  return (
    <details class="excerpt" open={isOpen}>
      <summary>{title}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that. */}
      <pre tabIndex={0}>{cleanLines(text.trimEnd())}</pre>
    </details>
  );
}
