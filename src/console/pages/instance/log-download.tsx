/** A log as a file: what is here, or all that its host has kept. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../../lib/api.ts';
import { counted } from '../../lib/format.ts';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { announce } from '../../parts/status-region.tsx';
import { type LogBuffer, type LogLine, logText } from './log-buffer.ts';
import { wholeLog } from './log-feed.ts';

export interface LogDownloadProps {
  readonly buffer: LogBuffer;
  /** Of the log, to be read from its beginning. */
  readonly path: string;
  readonly name: string;
}

export function LogDownload({ buffer, path, name }: LogDownloadProps) {
  const [isAsked, setAsked] = useState(false);
  const [lines, setLines] = useState<number>();
  const [error, setError] = useState<ApiError>();
  const reading = useRef<AbortController>(null);
  const close = () => {
    reading.current?.abort();
    reading.current = null;
    setLines(undefined);
    setError(undefined);
    setAsked(false);
  };
  useEffect(() => () => reading.current?.abort(), []);
  const keep = (text: Iterable<LogLine>) => {
    saveFile(name, new Blob([logText(text)], { type: 'text/plain' }));
    announce(`Saved ${name}.`);
    close();
  };
  const keepAll = async () => {
    const gone = new AbortController();
    reading.current = gone;
    setError(undefined);
    setLines(0);
    try {
      keep(await wholeLog(path, gone.signal, setLines));
    } catch (failure) {
      if (gone.signal.aborted) return;
      setLines(undefined);
      const message = failure instanceof Error ? failure.message : 'The log could not be read.';
      const hint = 'Save what is shown, or try again.';
      const unread = { code: 'log.unread', message, hint, correlation_id: '', errors: [] };
      setError(failure instanceof ApiError ? failure : new ApiError(0, unread));
    }
  };
  const none = buffer.size === 0 ? 'There are no lines yet.' : undefined;
  const isReading = lines !== undefined;
  return (
    <>
      <Button onClick={() => setAsked(true)}>Download</Button>
      {isAsked && (
        <Dialog
          title="Download the log"
          onClose={close}
          actions={
            <>
              <Button busy={isReading} onClick={() => void keepAll()}>
                {isReading ? `Reading, ${counted(lines, 'line')}` : 'All that its host has kept'}
              </Button>
              <Button tone="primary" disabledReason={none} onClick={() => keep(buffer.lines())}>
                The {counted(buffer.size, 'line')} that are here
              </Button>
            </>
          }
        >
          <p>As a text file, with every character as it was written: terminals may act on some of them.</p>
          {error && <FailureView error={error} />}
        </Dialog>
      )}
    </>
  );
}

/** Hands it to the browser, as something that was downloaded. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
