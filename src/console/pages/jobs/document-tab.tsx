/** What a job was submitted with, what is worth a look in it, and the job as the tools of its own network read it. */
import { useState } from 'preact/hooks';
import type { JobView } from '../../../server/jobs/job-view.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Section, Shown } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { cleanLine, cleanLines } from '../instance/clean-text.ts';
import { saveFile } from '../instance/log-download.tsx';

export interface DocumentTabProps {
  readonly job: JobView;
  readonly path: string;
}

export function DocumentTab({ job, path }: DocumentTabProps) {
  const document = useResource<{ readonly document: unknown; readonly requirements?: object }>(`${path}/document`);
  const [isFlow, setFlow] = useState(false);
  return (
    <div class="stack">
      {job.warnings.length > 0 && (
        <Section title="Worth a look">
          <ul class="faults">
            {job.warnings.map(({ path: at, message }) => (
              <li key={`${at} ${message}`}>
                <code>{cleanLine(at) || '/'}</code> {cleanLine(message)}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section
        title="As it was submitted"
        actions={job.dialect === 'nosana' && <Button onClick={() => setFlow(true)}>Flow state</Button>}
      >
        <p class="muted">Its secrets are left out.</p>
        <Shown of={document} title="The document cannot be shown.">
          {({ document: shown, requirements }) => (
            <>
              <Json value={shown} file={`${job.id}.json`} what="the document" />
              {requirements && Object.keys(requirements).length > 0 && (
                <>
                  <h3>What it asks for in the place of that</h3>
                  <Json value={requirements} file={`${job.id}.requirements.json`} what="the requirements" />
                </>
              )}
            </>
          )}
        </Shown>
      </Section>
      {isFlow && <FlowState path={path} id={job.id} onClose={() => setFlow(false)} />}
    </div>
  );
}

interface FlowStateProps {
  readonly path: string;
  readonly id: string;
  readonly onClose: () => void;
}

function FlowState({ path, id, onClose }: FlowStateProps) {
  const flow = useResource<object>(`${path}/flow-state`, { subjects: [id] });
  return (
    <Dialog title="Flow state" side onClose={onClose}>
      <p class="muted">The job as tools of Nosana read it.</p>
      <Shown of={flow} title="The flow state cannot be shown.">
        {(shown) => <Json value={shown} file={`${id}.flow.json`} what="the flow state" />}
      </Shown>
    </Dialog>
  );
}

interface JsonProps {
  readonly value: unknown;
  readonly file: string;
  readonly what: string;
}

function Json({ value, file, what }: JsonProps) {
  const text = JSON.stringify(value, null, 2);
  const keep = () => {
    saveFile(file, new Blob([`${text}\n`], { type: 'application/json' }));
    announce(`Saved ${file}.`);
  };
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that. */}
      <pre class="json" tabIndex={0}>
        {cleanLines(text)}
      </pre>
      <Button onClick={keep}>Save {what}</Button>
    </>
  );
}
