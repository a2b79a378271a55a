/** What can be done with an instance just now. The control plane says what that is; this asks before it is done. */

import { useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { api } from '../../lib/api.ts';
import { newKey } from '../../lib/new-key.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { useAction } from '../../lib/use-action.ts';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { cleanLine } from './clean-text.ts';

type Action = InstanceView['actions'][number];

export interface InstanceActionsProps {
  readonly instance: InstanceView;
  readonly path: string;
  readonly reload: () => void;
}

/** Those that take nothing away are done at once. */
const harmless: ReadonlySet<Action> = new Set(['start']);

export function InstanceActions({ instance, path, reload }: InstanceActionsProps) {
  const [asked, setAsked] = useState<Action>();
  const { busy, error, run, forget } = useAction();
  const whyNot = whyNotMember(theSession());
  const act = async (action: Action, more: object = {}) => {
    await api.post(`${path}/actions`, { action, ...more }, { idempotencyKey: newKey() });
    reload();
  };
  const close = () => setAsked(undefined);
  const isAnew = isLaunchedAnew(instance);
  return (
    <>
      {instance.access.length > 0 && (
        <Link class="button button-primary" to={`/instances/${encodeURIComponent(instance.id)}/access`}>
          How to reach it
        </Link>
      )}
      {instance.actions.map((action) => (
        <Button
          key={action}
          busy={busy && harmless.has(action)}
          disabledReason={whyNot}
          onClick={() => (harmless.has(action) ? void run(() => act(action)) : setAsked(action))}
        >
          {labelOf(action, isAnew)}
        </Button>
      ))}
      {error && (
        <Dialog title="It could not be started." onClose={forget}>
          <FailureView error={error} />
        </Dialog>
      )}
      {asked === 'decommission' && <Decommission instance={instance} act={act} onClose={close} />}
      {(asked === 'stop' || asked === 'restart') && (
        <ConfirmDialog
          title={`${labelOf(asked, isAnew)} ${cleanLine(instance.display_name)}?`}
          confirm={labelOf(asked, isAnew)}
          onConfirm={() => act(asked)}
          onClose={close}
        >
          <p>{isAnew ? anew : consequences[asked]}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

const consequences = {
  stop: 'What runs in it ends, and it cannot be reached until it is started again. It keeps its data, its ports and its cards; its cores and memory may go to others meanwhile.',
  restart: 'What runs in it ends, and it is started again. It keeps its data, its ports and its cards.',
} as const;
const anew = 'Nothing of it is left on its node. It is launched again with the same values, ports and tokens.';

/** `restart` of one of which nothing is left. */
function isLaunchedAnew({ state, actions }: InstanceView): boolean {
  return state === 'failed' && !actions.includes('stop');
}

function labelOf(action: Action, isAnew: boolean): string {
  if (action === 'restart' && isAnew) return 'Launch again';
  return { stop: 'Stop', start: 'Start', restart: 'Restart', decommission: 'Decommission' }[action];
}

interface DecommissionProps {
  readonly instance: InstanceView;
  readonly act: (action: Action, more: object) => Promise<void>;
  readonly onClose: () => void;
}

function Decommission({ instance, act, onClose }: DecommissionProps) {
  const [isKept, setKept] = useState(false);
  const { storage } = instance.about;
  const scratch = storage.filter(({ mode }) => mode === 'scratch').map(({ name }) => name);
  const hasProject = storage.some(({ mode }) => mode === 'project_storage');
  return (
    <ConfirmDialog
      title={`Decommission ${cleanLine(instance.display_name)}?`}
      confirm="Decommission"
      tone="danger"
      onConfirm={() => act('decommission', { keep_data: isKept })}
      onClose={onClose}
    >
      <div class="stack">
        <p>It is taken away for good: its containers, its ports and its tokens. This cannot be undone.</p>
        {scratch.length > 0 && (
          <label class="check">
            <input type="checkbox" checked={isKept} onChange={({ currentTarget }) => setKept(currentTarget.checked)} />
            <span>
              Keep its scratch folders ({scratch.join(', ')}) on the node
              <span class="muted"> — otherwise they are deleted with it</span>
            </span>
          </label>
        )}
        {hasProject && <p class="muted">What lies in the storage of the project is kept in any case.</p>}
      </div>
    </ConfirmDialog>
  );
}
