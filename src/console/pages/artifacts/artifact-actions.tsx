/** What operators decide about an image. Whether it may be, the control plane says; what is final is not offered any more. */
import { useState } from 'preact/hooks';
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { api } from '../../lib/api.ts';
import { useAction } from '../../lib/use-action.ts';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Select } from '../../parts/field.tsx';
import { announce } from '../../parts/status-region.tsx';

type Ending = 'deprecate' | 'retire' | 'revoke';

const endings: Readonly<Record<Ending, { readonly title: string; readonly text: string; readonly done: string }>> = {
  deprecate: {
    title: 'Deprecate',
    text: 'Nothing new is launched from it. What runs goes on, and its owners are told.',
    done: 'The image was deprecated.',
  },
  retire: {
    title: 'Retire',
    text: 'Its life ends for good: nothing is launched from it ever again. What runs goes on, and its owners are told.',
    done: 'The image was retired.',
  },
  revoke: {
    title: 'Revoke',
    text: 'The trust in it is taken back for good. Nothing is launched or started from it any more, and owners of what runs are told.',
    done: 'The trust in the image was revoked.',
  },
};

export function ArtifactActions(props: { readonly artifact: ArtifactView; readonly onChange: () => void }) {
  const { artifact, onChange } = props;
  const { id, name, lifecycle, trust } = artifact;
  const [ending, setEnding] = useState<Ending>();
  const [isPromoting, setPromoting] = useState(false);
  const { busy, error, run } = useAction();
  const path = `/api/v1/artifacts/${encodeURIComponent(id)}`;
  const verify = () => run(() => api.post(`${path}/verify`).then(onChange), 'The registry was asked.');
  const isOver = lifecycle === 'retired' || trust === 'revoked';
  return (
    <>
      {trust !== 'revoked' && (
        <Button busy={busy} onClick={verify}>
          Verify
        </Button>
      )}
      {!isOver && lifecycle !== 'deprecated' && (
        <Button
          tone="primary"
          disabledReason={trust === 'verified' ? undefined : 'Verify it first.'}
          onClick={() => setPromoting(true)}
        >
          Promote
        </Button>
      )}
      {!isOver && lifecycle !== 'deprecated' && <Button onClick={() => setEnding('deprecate')}>Deprecate</Button>}
      {lifecycle !== 'retired' && (
        <Button tone="danger" onClick={() => setEnding('retire')}>
          Retire
        </Button>
      )}
      {trust !== 'revoked' && (
        <Button tone="danger" onClick={() => setEnding('revoke')}>
          Revoke
        </Button>
      )}
      {error && <FailureView error={error} />}
      {isPromoting && <PromoteDialog {...{ artifact, path, onChange }} onClose={() => setPromoting(false)} />}
      {ending && (
        <ConfirmDialog
          title={`${endings[ending].title}: ${name}`}
          confirm={endings[ending].title}
          tone="danger"
          reasonLabel="Reason, for those who run it"
          onConfirm={async (reason) => {
            await api.post(`${path}/${ending}`, { reason });
            announce(endings[ending].done);
            onChange();
          }}
          onClose={() => setEnding(undefined)}
        >
          <p>{endings[ending].text}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

const channels = [
  { value: 'dev', label: 'dev' },
  { value: 'test', label: 'test' },
  { value: 'staging', label: 'staging' },
  { value: 'prod', label: 'prod' },
];

interface PromoteProps {
  readonly artifact: ArtifactView;
  readonly path: string;
  readonly onChange: () => void;
  readonly onClose: () => void;
}

function PromoteDialog({ artifact, path, onChange, onClose }: PromoteProps) {
  const [channel, setChannel] = useState('dev');
  return (
    <ConfirmDialog
      title={`Promote: ${artifact.name}`}
      confirm="Promote"
      onConfirm={async () => {
        await api.post(`${path}/promote`, { channel });
        announce(`The image was promoted to ${channel}.`);
        onChange();
      }}
      onClose={onClose}
    >
      <p>You vouch for this digest on one channel. Who did it, and when, is kept.</p>
      <Select label="Channel" value={channel} onValue={setChannel} choices={channels} />
    </ConfirmDialog>
  );
}
