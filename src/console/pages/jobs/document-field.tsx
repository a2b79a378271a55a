/** The document of a job: pasted, typed, dropped or chosen as a file, with all that is wrong with it and where. */
import { useId, useRef, useState } from 'preact/hooks';
import { counted } from '../../lib/format.ts';
import { Button } from '../../parts/button.tsx';
import { Field } from '../../parts/field.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Section } from '../../parts/page.tsx';
import { bytesText } from '../instance/amounts.ts';
import { cleanLine } from '../instance/clean-text.ts';
import type { DocumentFault } from './judge-document.ts';
import type { Judged } from './use-judge.ts';

export interface DocumentFieldProps {
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly judged: Judged;
  /** What the control plane has refused of this very text. */
  readonly refused: readonly DocumentFault[];
}

/** As the reader of documents has it. */
const mostBytes = 256 * 1024;

export function DocumentField({ text, onText, judged, refused }: DocumentFieldProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const verdictId = useId();
  const chooser = useRef<HTMLInputElement>(null);
  const [unread, setUnread] = useState<string>();
  const [isOver, setOver] = useState(false);
  const take = async (file: File | null | undefined) => {
    if (!file) return;
    const name = cleanLine(file.name);
    if (file.size > mostBytes) {
      setUnread(`${name} has ${bytesText(file.size)}; a document has at most ${bytesText(mostBytes)}.`);
      return;
    }
    try {
      onText(await file.text());
      setUnread(undefined);
    } catch {
      setUnread(`${name} cannot be read.`);
    }
  };
  const show = ({ line, column }: DocumentFault) => {
    if (area.current && line !== null) goTo(area.current, line, column ?? 1);
  };
  const { verdict } = judged;
  const errors = refused.length > 0 ? refused : verdict?.ok === false ? verdict.errors : [];
  return (
    <Section
      title="Job definition"
      actions={
        <>
          <Button onClick={() => chooser.current?.click()}>Choose a file</Button>
          <input
            ref={chooser}
            type="file"
            hidden
            aria-label="File of a job definition"
            accept=".json,.yaml,.yml,application/json,application/yaml"
            onChange={({ currentTarget }) => {
              void take(currentTarget.files?.[0]);
              currentTarget.value = '';
            }}
          />
        </>
      }
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping a file is another way to choose one. */}
      <div
        class={isOver ? 'drop drop-over' : 'drop'}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void take(event.dataTransfer?.files[0]);
        }}
      >
        <Field
          label="Document"
          hint="JSON or YAML, as Nosana has it. Paste it, or drop a file here. Its secrets are kept by the control plane, sealed, until the job has ended."
          error={unread}
          required
        >
          {(control) => (
            <textarea
              {...control}
              aria-describedby={`${control['aria-describedby'] ?? ''} ${verdictId}`.trim()}
              aria-invalid={errors.length > 0 ? 'true' : control['aria-invalid']}
              ref={area}
              class="document"
              rows={18}
              wrap="off"
              autocomplete="off"
              spellcheck={false}
              value={text}
              onInput={({ currentTarget }) => onText(currentTarget.value)}
            />
          )}
        </Field>
      </div>
      <Verdict id={verdictId} judged={judged} isEmpty={text.trim() === ''} errors={errors} onShow={show} />
    </Section>
  );
}

interface VerdictProps {
  readonly id: string;
  readonly judged: Judged;
  readonly isEmpty: boolean;
  readonly errors: readonly DocumentFault[];
  readonly onShow: (fault: DocumentFault) => void;
}

function Verdict({ id, judged: { verdict, judge, isMissing }, isEmpty, errors, onShow }: VerdictProps) {
  const warnings = verdict?.ok ? verdict.warnings : [];
  const isGood = verdict?.ok === true && errors.length === 0;
  return (
    <>
      <p id={id} class="verdict" role="status">
        {isEmpty && <span class="muted">It is checked here before it is sent.</span>}
        {!isEmpty && isMissing && (
          <span class="muted">What checks it could not be loaded: the control plane checks it when it is sent.</span>
        )}
        {!isEmpty && !isMissing && (!judge || !verdict) && <span class="muted">Checking…</span>}
        {isGood && (
          <span class="verdict-good">
            <Icon name="check" /> It is valid
            {warnings.length > 0 && `, with ${counted(warnings.length, 'warning')}`}.
          </span>
        )}
        {errors.length > 0 && (
          <span class="verdict-bad">
            <Icon name="error" /> It has {counted(errors.length, 'error')}.
          </span>
        )}
      </p>
      {errors.length > 0 && <Faults label="Errors" faults={errors} onShow={onShow} />}
      {warnings.length > 0 && <Faults label="Warnings" faults={warnings} onShow={onShow} />}
    </>
  );
}

interface FaultsProps {
  readonly label: string;
  readonly faults: readonly DocumentFault[];
  readonly onShow: (fault: DocumentFault) => void;
}

function Faults({ label, faults, onShow }: FaultsProps) {
  return (
    <ul class="faults" aria-label={label}>
      {faults.map((fault) => (
        <li key={`${fault.path} ${fault.message}`} class={label === 'Errors' ? 'fault-error' : 'fault-warning'}>
          <Icon name={label === 'Errors' ? 'error' : 'warning'} />
          <span>
            {fault.line !== null && (
              <button type="button" class="link" onClick={() => onShow(fault)}>
                line {fault.line}
              </button>
            )}{' '}
            <code>{cleanLine(fault.path) || 'the document'}</code> {cleanLine(fault.message)}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Puts the cursor there, in the middle of what can be seen. */
function goTo(area: HTMLTextAreaElement, line: number, column: number): void {
  const lines = area.value.split('\n');
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const at = start + Math.min(column - 1, lines[line - 1]?.length ?? 0);
  area.focus();
  area.setSelectionRange(at, start + (lines[line - 1]?.length ?? 0));
  const height = area.scrollHeight / Math.max(1, lines.length);
  area.scrollTop = Math.max(0, (line - 1) * height - area.clientHeight / 2);
}
