/** The checks before a job, each with its outcome. What one of them has written is theirs, and never that of a step. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { Badge } from '../../parts/badge.tsx';
import { Section } from '../../parts/page.tsx';
import { secondsText } from '../instance/amounts.ts';
import { cleanLine, cleanLines } from '../instance/clean-text.ts';

type Check = JobView['checks'][number];

const kinds: Readonly<Record<Check['kind'], string>> = { executable: 'program', file: 'file', command: 'command' };

export function ChecksSection({ checks }: { readonly checks: JobView['checks'] }) {
  if (checks.length === 0) return null;
  return (
    <Section title="Checks before the job">
      <ul class="plain-list stack" aria-label="Checks">
        {checks.map((check) => (
          <li key={`${check.kind} ${check.id}`}>
            <Outcome check={check} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Outcome({ check: { kind, id, label, state, reason, duration_ms, output } }: { readonly check: Check }) {
  const tone = state === 'passed' ? 'good' : undefined;
  return (
    <>
      <Badge state={state} tone={tone} /> <strong>{cleanLine(label ?? id)}</strong>{' '}
      <span class="muted">
        {kinds[kind]}
        {duration_ms !== null && `, ${secondsText(duration_ms / 1000)}`}
      </span>
      {reason !== null && <p>{cleanLine(reason)}</p>}
      {state === 'failed' && output !== null && output !== '' && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that.
        <pre tabIndex={0}>{cleanLines(output)}</pre>
      )}
    </>
  );
}
