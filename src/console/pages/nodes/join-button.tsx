/** Invites a host: a join token for one allocation, shown once, with what is to be done on the host. */
import { useState } from 'preact/hooks';
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import { api } from '../../lib/api.ts';
import { useAction } from '../../lib/use-action.ts';
import { Button } from '../../parts/button.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Select } from '../../parts/field.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';

type Invitable = Pick<Allocation, 'id' | 'name' | 'state' | 'node_id'>;

/** Offers those of the allocations that a host could serve, or says why none of them can be. */
export function JoinButton({ allocations }: { readonly allocations: readonly Invitable[] }) {
  const [isOpen, setOpen] = useState(false);
  const free = allocations.filter((allocation) => whyNot(allocation) === undefined);
  const [only] = allocations;
  const none = allocations.length === 1 && only ? whyNot(only) : 'No allocation waits for a host.';
  return (
    <>
      <Button icon="plus" disabledReason={free.length === 0 ? none : undefined} onClick={() => setOpen(true)}>
        Add a host
      </Button>
      {isOpen && <JoinDialog allocations={free} onClose={() => setOpen(false)} />}
    </>
  );
}

interface MadeToken {
  readonly token: string | null;
  readonly expires_at: string;
}

function JoinDialog({
  allocations,
  onClose,
}: {
  readonly allocations: readonly Invitable[];
  readonly onClose: () => void;
}) {
  const [chosen, setChosen] = useState(allocations[0]?.id ?? '');
  const [made, setMade] = useState<MadeToken>();
  const { busy, error, run } = useAction();
  const create = () =>
    run(
      async () => setMade(await api.post<MadeToken>('/api/v1/nodes/join-tokens', { allocation_id: chosen })),
      'The join token was made.',
    );
  if (made) {
    return (
      <Dialog
        title="Add a host"
        onClose={onClose}
        actions={
          <Button tone="primary" onClick={onClose}>
            Done
          </Button>
        }
      >
        <p>
          Put this token into a file <code>token</code> on the host. It is shown this once, works once, and expires{' '}
          <Timestamp at={made.expires_at} />.
        </p>
        <CopyText block what="the join token" text={made.token ?? ''} />
        <p class="join-step">Then, on the host, as root:</p>
        <CopyText block what="the command" text={`node-agent enroll --url ${location.origin} --token-file token`} />
      </Dialog>
    );
  }
  const actions = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button tone="primary" busy={busy} onClick={create}>
        Make a join token
      </Button>
    </>
  );
  return (
    <Dialog title="Add a host" onClose={onClose} actions={actions}>
      <p>A join token lets one host become the node of one allocation, within an hour.</p>
      <Select
        label="Allocation"
        value={chosen}
        onValue={setChosen}
        choices={allocations.map(({ id, name }) => ({ value: id, label: name }))}
      />
      {error && <FailureView error={error} />}
    </Dialog>
  );
}

function whyNot({ state, node_id }: Invitable): string | undefined {
  if (state !== 'active') return `The allocation is ${state}.`;
  return node_id === null ? undefined : 'The allocation has a host already; revoke that one first if it is lost.';
}
