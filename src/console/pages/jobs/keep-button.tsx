/** Saves something of the control plane as a file. A link could not: it does not carry the page half of the session. */
import { request } from '../../lib/api.ts';
import { useAction } from '../../lib/use-action.ts';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { bytesText } from '../instance/amounts.ts';
import { saveFile } from '../instance/log-download.tsx';

export interface KeepButtonProps {
  readonly path: string;
  /** Name for the file. */
  readonly file: string;
  readonly bytes: number;
  readonly label: string;
}

/** A browser has the whole of it before it is a file. */
const mostBytes = 2 * 2 ** 30;

export function KeepButton({ path, file, bytes, label }: KeepButtonProps) {
  const { busy, error, run, forget } = useAction();
  const keep = () =>
    run(async () => {
      const response = await request(path, { method: 'GET' });
      saveFile(file, await response.blob());
    }, `Saved ${file}.`);
  const tooLarge = `It has ${bytesText(bytes)}: fetch it by the command beside this button.`;
  return (
    <>
      <Button busy={busy} disabledReason={bytes > mostBytes ? tooLarge : undefined} aria-label={label} onClick={keep}>
        Download
      </Button>
      {error && (
        <Dialog title="It could not be downloaded." onClose={forget}>
          <FailureView error={error} />
        </Dialog>
      )}
    </>
  );
}
