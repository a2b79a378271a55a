/** The receipt of a job: what its node has signed, as a file, and how to verify it without this control plane. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { Button } from '../../parts/button.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Facts, Section } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { saveFile } from '../instance/log-download.tsx';
import { imagesOf, type RanImage, readReceipt, textOf, verifyCommands } from './receipt.ts';

export function ReceiptSection({ job }: { readonly job: JobView }) {
  const { receipt } = job;
  if (receipt === null) {
    return (
      <Section title="Receipt">
        <p class="muted">
          {job.ended_at === null
            ? 'The node that runs it signs one at its end: what ran, from which images, how it ended, and the hashes of what was kept.'
            : 'There is none: it ended before a node had begun with it, or its node has not reported since.'}
        </p>
      </Section>
    );
  }
  const said = readReceipt(receipt);
  const keep = () => {
    const file = `${job.id}.receipt`;
    saveFile(file, new Blob([`${receipt}\n`], { type: 'application/jose' }));
    announce(`Saved ${file}.`);
  };
  return (
    <Section title="Receipt" actions={<Button onClick={keep}>Download the receipt</Button>}>
      <div class="stack">
        <p>
          Signed by the node that ran the job, and chained to the one before. It names the plan, the images, how each
          step ended, and the hashes of all outputs.
        </p>
        {said && (
          <Facts
            facts={[
              ['Number', `${textOf(said.number)} in the chain of its node`],
              ['Node', cleanLine(textOf(said.node_id))],
              ['Plan', <Hash key="plan" text={textOf(said.plan_sha256)} what="the sha256 of the plan" />],
              [
                'Document',
                <Hash key="document" text={textOf(said.document_sha256)} what="the sha256 of the document" />,
              ],
              ...imagesOf(said).map(
                (image) => [`Image ${cleanLine(image.id)}`, <Ran key="image" {...image} />] as const,
              ),
            ]}
          />
        )}
        <div>
          <h3>Verify it</h3>
          <p class="muted">Offline, on a computer that you trust. What this page shows of it was not verified.</p>
          {verifyCommands(job).map((command) => (
            <div key={command} class="command">
              <CopyText text={command} what="the command" block />
            </div>
          ))}
        </div>
      </div>
    </Section>
  );
}

function Ran({ names, builder }: RanImage) {
  return (
    <>
      {names.map(cleanLine).map((name, index) => (
        <div key={index}>
          <CopyText text={name} shown={shortened(name)} what={`the name ${shortened(name)}`} />
        </div>
      ))}
      {builder && <div class="muted">built by {cleanLine(builder)}</div>}
    </>
  );
}

/** Of digests the beginning. */
function shortened(name: string): string {
  return name.replace(/([0-9a-f]{12})[0-9a-f]{52}$/, '$1…');
}

function Hash({ text, what }: { readonly text: string; readonly what: string }) {
  const clean = cleanLine(text);
  return <CopyText text={clean} shown={`${clean.slice(0, 16)}…`} what={what} />;
}
