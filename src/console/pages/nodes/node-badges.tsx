/** How a node is, in the words that its list and its page share. */
import { Badge } from '../../parts/badge.tsx';
import type { Node } from './node.ts';

const readinessWords = { ready: 'Ready', not_ready: 'Not ready', unknown: 'Unknown' } as const;

export function Readiness({ node: { readiness } }: { readonly node: Node }) {
  const { state, reasons } = readiness;
  return <Badge state={state} label={readinessWords[state]} title={reasons.join(' ') || undefined} />;
}

export function Connected({ node: { connected } }: { readonly node: Node }) {
  return <Badge state={connected ? 'connected' : 'disconnected'} />;
}

/** What operators decided about it; nothing where it simply takes work. */
export function Standing({ node: { status, status_reason, drain } }: { readonly node: Node }) {
  return (
    <>
      {status !== 'enrolled' && <Badge state={status} title={status_reason ?? undefined} />}
      {drain && <Badge state="draining" title="Nothing new is launched there." />}
    </>
  );
}

export function Drift({ node: { drift } }: { readonly node: Node }) {
  if (drift.length === 0) return <span class="muted">none</span>;
  return (
    <Badge
      state="drifted"
      tone="warning"
      label={drift.length === 1 ? (drift[0]?.what ?? '1') : `${drift.length} differences`}
      title={drift.map(({ what, expected, found }) => `${what}: ${found} instead of ${expected}`).join('\n')}
    />
  );
}
