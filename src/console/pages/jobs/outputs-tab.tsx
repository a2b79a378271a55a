/** What was kept of a job: its outputs, each with its hash, and the receipt of the node that ran it. */
import type { ShownOutput } from '../../../server/job-outputs/keep-outputs.ts';
import type { JobView } from '../../../server/jobs/job-view.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge, type Tone } from '../../parts/badge.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Section, Shown } from '../../parts/page.tsx';
import { bytesText } from '../instance/amounts.ts';
import { cleanLine } from '../instance/clean-text.ts';
import { KeepButton } from './keep-button.tsx';
import { ReceiptSection } from './receipt-section.tsx';

export interface OutputsTabProps {
  readonly job: JobView;
  readonly path: string;
}

export function OutputsTab({ job, path }: OutputsTabProps) {
  const outputs = useResource<{ items: readonly ShownOutput[] }>(`${path}/artifacts`, { subjects: [job.id] });
  return (
    <div class="stack">
      <Section title="Outputs">
        <Shown of={outputs} title="The outputs cannot be shown.">
          {({ items }) =>
            items.length === 0 ? (
              <NoOutputs isOver={job.ended_at !== null} />
            ) : (
              <ul class="plain-list">
                {items.map((output) => (
                  <OutputRow key={output.name} output={output} job={job} path={path} />
                ))}
              </ul>
            )
          }
        </Shown>
      </Section>
      <ReceiptSection job={job} />
    </div>
  );
}

function NoOutputs({ isOver }: { readonly isOver: boolean }) {
  return isOver ? (
    <Empty title="Nothing was kept of it.">
      It ended before there was anything, or what was kept is older than the control plane keeps it.
    </Empty>
  ) : (
    <Empty title="Nothing was kept yet.">
      Checkpoints appear here while it runs, artifacts and the logs of its steps at its end.
    </Empty>
  );
}

const kinds: Readonly<Record<ShownOutput['kind'], string>> = {
  ...{ artifact: 'artifact', checkpoint: 'newest checkpoint', log: 'log of a step' },
};

const states: Readonly<Record<ShownOutput['state'], readonly [label: string, tone: Tone]>> = {
  pending: ['on its way from the node', 'busy'],
  stored: ['stored', 'good'],
  refused: ['refused', 'bad'],
};

function OutputRow({ output, job, path }: OutputsTabProps & { readonly output: ShownOutput }) {
  const name = cleanLine(output.name);
  const [label, tone] = states[output.state];
  return (
    <li class="output">
      <div class="output-name">
        <strong>{name}</strong> <Badge state={output.state} label={label} tone={tone} />
        <span class="muted">
          {kinds[output.kind]}, {bytesText(output.bytes)}, {output.media_type}
        </span>
      </div>
      {output.reason !== null && <p class="muted">{cleanLine(output.reason)}</p>}
      <span class="row">
        <span class="muted">sha256</span>
        <CopyText text={output.sha256} shown={`${output.sha256.slice(0, 16)}…`} what={`the sha256 of ${name}`} />
      </span>
      {output.state === 'stored' && (
        <span class="row">
          <KeepButton
            path={`${path}/artifacts/${encodeURIComponent(output.name)}`}
            file={fileNameOf(output.file_name)}
            bytes={output.bytes}
            label={`Download ${name}`}
          />
          <CopyText
            text={`gpuaas jobs artifacts ${job.id} ${output.name} -o ${output.name}`}
            what={`the command that fetches ${name}`}
          />
        </span>
      )}
    </li>
  );
}

/** A name that a stranger chose, as nothing but the name of a file that is seen. */
function fileNameOf(name: string): string {
  const plain = cleanLine(name).replaceAll(/[/\\:*?"<>|]/g, '_');
  return plain.replace(/^\.+/, '_') || 'output';
}
