/** What operators decide about a node. */
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.ts';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { announce } from '../../parts/status-region.tsx';
import type { Node } from './node.ts';

interface Decision {
  readonly title: string;
  readonly text: string;
  readonly confirm: string;
  readonly tone: 'primary' | 'danger';
  /** Last part of its address. */
  readonly path: string;
  readonly body: object;
  readonly done: string;
}

type Name = 'drain' | 'undrain' | 'release' | 'revoke';

const decisions: Readonly<Record<Name, Decision>> = {
  drain: {
    ...{ title: 'Drain', text: 'Nothing new is launched there. What runs goes on, and is not moved.' },
    ...{ confirm: 'Drain', tone: 'primary', path: 'drain', body: { drain: true }, done: 'The node drains.' },
  },
  undrain: {
    ...{ title: 'End the drain', text: 'New work may come to the node again.', confirm: 'End the drain' },
    ...{ tone: 'primary', path: 'drain', body: { drain: false }, done: 'The node takes work again.' },
  },
  release: {
    title: 'Release from quarantine',
    text: 'Two hosts used the identity of this node. Release it only after you made sure that one of them is gone: whichever comes first is believed.',
    ...{ confirm: 'Release', tone: 'primary', path: 'release', body: {}, done: 'The node was released.' },
  },
  revoke: {
    title: 'Revoke',
    text: 'The node is shut out for good, and its open tasks end. What runs there runs on until somebody stops it on the host. The host can only come back by joining anew.',
    ...{ confirm: 'Revoke', tone: 'danger', path: 'revoke', body: {}, done: 'The node was revoked.' },
  },
};

export function NodeActions({ node, onChange }: { readonly node: Node; readonly onChange: () => void }) {
  const [chosen, setChosen] = useState<Name>();
  const decision = chosen && decisions[chosen];
  const { id, name, status, drain } = node;
  if (status === 'revoked') return null;
  const decide = async ({ path, body, done }: Decision) => {
    await api.post(`/api/v1/nodes/${encodeURIComponent(id)}/${path}`, body);
    announce(done);
    onChange();
  };
  return (
    <>
      {status === 'quarantined' && <Button onClick={() => setChosen('release')}>Release</Button>}
      {drain ? (
        <Button onClick={() => setChosen('undrain')}>End the drain</Button>
      ) : (
        <Button onClick={() => setChosen('drain')}>Drain</Button>
      )}
      <Button tone="danger" onClick={() => setChosen('revoke')}>
        Revoke
      </Button>
      {decision && (
        <ConfirmDialog
          title={`${decision.title}: ${name}`}
          confirm={decision.confirm}
          tone={decision.tone}
          onConfirm={() => decide(decision)}
          onClose={() => setChosen(undefined)}
        >
          <p>{decision.text}</p>
        </ConfirmDialog>
      )}
    </>
  );
}
