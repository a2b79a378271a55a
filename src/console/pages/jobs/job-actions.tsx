/** What can be done with a job just now. The control plane says what that is; this asks before it is done. */
import { useState } from 'preact/hooks';
import type { JobView } from '../../../server/jobs/job-view.ts';
import { api } from '../../lib/api.ts';
import { newKey } from '../../lib/new-key.ts';
import { navigate } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { announce } from '../../parts/status-region.tsx';
import { cleanLine } from '../instance/clean-text.ts';

type Action = JobView['actions'][number];

export interface JobActionsProps {
  readonly job: JobView;
  readonly path: string;
  readonly reload: () => void;
}

const labels: Readonly<Record<Action, string>> = { cancel: 'Cancel the job', remove: 'Remove' };

export function JobActions({ job, path, reload }: JobActionsProps) {
  const [asked, setAsked] = useState<Action>();
  const whyNot = whyNotMember(theSession());
  const name = cleanLine(job.name);
  const close = () => setAsked(undefined);
  const cancel = async () => {
    await api.post(`${path}/cancel`, {}, { idempotencyKey: newKey() });
    reload();
  };
  const remove = async () => {
    const { removed } = await api.del<{ readonly removed: boolean }>(path);
    announce(removed ? `${name} is removed.` : `${name} goes when its node has taken away what is left of it.`);
    navigate('/jobs');
  };
  return (
    <>
      {job.actions.map((action) => (
        <Button
          key={action}
          tone={action === 'remove' ? 'danger' : 'plain'}
          disabledReason={whyNot}
          onClick={() => setAsked(action)}
        >
          {labels[action]}
        </Button>
      ))}
      {asked === 'cancel' && (
        <ConfirmDialog
          title={`Cancel ${name}?`}
          confirm="Cancel the job"
          tone="danger"
          onConfirm={cancel}
          onClose={close}
        >
          <p>
            Its containers are told to end, and are ended after their grace. Steps that have not begun never do. What
            finished steps have brought out stays.
          </p>
        </ConfirmDialog>
      )}
      {asked === 'remove' && (
        <ConfirmDialog title={`Remove ${name}?`} confirm="Remove" tone="danger" onConfirm={remove} onClose={close}>
          <p>
            It is taken off this list for good, with its logs and outputs, and with what it left on its node. A receipt
            that you have saved stays valid.
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
