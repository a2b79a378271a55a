/** Asks before something is done, does it, and shows what went wrong where it was asked for. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { useAction } from '../lib/use-action.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { FailureView } from './failure-view.tsx';
import { TextArea } from './field.tsx';

export interface ConfirmDialogProps {
  readonly title: string;
  /** What will happen. */
  readonly children: ComponentChildren;
  /** The verb: `Decommission`. */
  readonly confirm: string;
  readonly tone?: 'primary' | 'danger';
  /** Label of a reason that has to be given; none is asked for without it. */
  readonly reasonLabel?: string;
  /** Called with the reason, empty where none is asked for. It is over when it resolves. */
  readonly onConfirm: (reason: string) => Promise<unknown>;
  readonly onClose: () => void;
}

export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, children, confirm, tone = 'primary', reasonLabel, onConfirm, onClose } = props;
  const [reason, setReason] = useState('');
  const { busy, error, run } = useAction();
  const isMissing = reasonLabel !== undefined && reason.trim() === '';

  const act = () => run(() => onConfirm(reason.trim()).then(onClose));
  const actions = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button tone={tone} busy={busy} disabledReason={isMissing ? 'Say why first.' : undefined} onClick={act}>
        {confirm}
      </Button>
    </>
  );
  return (
    <Dialog title={title} onClose={onClose} actions={actions}>
      {children}
      {reasonLabel !== undefined && <TextArea label={reasonLabel} value={reason} maxLength={500} onValue={setReason} />}
      {error && <FailureView error={error} />}
    </Dialog>
  );
}
