/** The page that submits a job: its document, judged while it is typed, and how it is to be carried out. */
import { useState } from 'preact/hooks';
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import { navigate } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Button } from '../../parts/button.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Select, TextInput } from '../../parts/field.tsx';
import { Page, Section } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { ProjectPicker } from '../launch/project-picker.tsx';
import { DocumentField } from './document-field.tsx';
import {
  type AmountName,
  amounts,
  emptyForm,
  faultOfAmount,
  type JobForm,
  type PlacedErrors,
  pathOfAmount,
  placeErrors,
  requestOf,
} from './job-request.ts';
import { StepGraph } from './step-graph.tsx';
import { useJudge } from './use-judge.ts';
import { useSubmit } from './use-submit.ts';

export function SubmitPage() {
  const session = theSession();
  const [form, setForm] = useState(emptyForm);
  const { state, error, send, forget } = useSubmit((id) => {
    announce('The job was submitted.');
    navigate(`/jobs/${encodeURIComponent(id)}`);
  });
  const change = (given: Partial<JobForm>) => {
    // What was refused was another request than the one that is written now.
    forget();
    setForm((last) => ({ ...last, ...given }));
  };
  const judged = useJudge(form.document);
  const refused = placeErrors(error?.errors ?? []);
  const placed =
    judged.judge && refused.document.length > 0 ? judged.judge.placeFaults(form.document, refused.document) : [];
  const { verdict } = judged;
  const needsProject = session.project === null;
  const whyNot = whyNotMember(session) ?? whyNotYet(form, verdict, judged.isMissing, needsProject);
  return (
    <Page
      title="Submit a job"
      above={[{ title: 'Jobs', to: '/jobs' }]}
      lead="It waits for a host of your project that has what it needs, runs to its end, and leaves its outputs and a receipt."
    >
      <form
        class="submit-columns"
        onSubmit={(event) => {
          event.preventDefault();
          if (whyNot === undefined) send(requestOf(form));
        }}
      >
        <div class="stack">
          <DocumentField
            text={form.document}
            onText={(document) => change({ document })}
            judged={judged}
            refused={placed}
          />
          {verdict?.ok && placed.length === 0 && (
            <Section title="What it runs">
              <StepGraph steps={verdict.steps} />
            </Section>
          )}
        </div>
        <div class="stack">
          <Section title="Options">
            {needsProject && (
              <ProjectPicker
                value={form.project_id}
                onPick={(project) => change({ project_id: project, allocation_id: '' })}
              />
            )}
            <Options form={form} onChange={change} refused={refused} />
          </Section>
          {error && <Refused error={error} placed={refused} />}
          {state === 'lost' && (
            <p class="notice notice-warning" role="status">
              The connection was lost before the answer came. It is asked again by itself, and submitted once.
            </p>
          )}
          <div class="submit-foot">
            <Button type="submit" tone="primary" busy={state !== 'idle'} disabledReason={whyNot}>
              Submit the job
            </Button>
          </div>
        </div>
      </form>
    </Page>
  );
}

function whyNotYet(
  form: JobForm,
  verdict: ReturnType<typeof useJudge>['verdict'],
  isUnjudged: boolean,
  needsProject: boolean,
): string | undefined {
  if (form.document.trim() === '') return 'Paste a job definition first.';
  if (!verdict && !isUnjudged) return 'It is being checked.';
  if (verdict?.ok === false) return 'Correct the errors of the document first.';
  if (needsProject && form.project_id === undefined) return 'Choose a project first.';
  const wrong = amounts.find((amount) => faultOfAmount(amount, form.amounts[amount.name] ?? '') !== undefined);
  return wrong && `${wrong.label}: ${faultOfAmount(wrong, form.amounts[wrong.name] ?? '')}.`;
}

interface OptionsProps {
  readonly form: JobForm;
  readonly onChange: (given: Partial<JobForm>) => void;
  readonly refused: PlacedErrors;
}

/** What most people decide; the rest is behind a press. */
const usual: ReadonlySet<AmountName> = new Set(['gpu_count', 'cpu_cores', 'memory_gib', 'deadline_seconds']);

function Options({ form, onChange, refused }: OptionsProps) {
  const isRefused = [...refused.fields.keys()].some((path) => path !== '/name');
  return (
    <>
      <TextInput
        label="Name"
        hint="What people call it; that of its first step if empty."
        required={false}
        maxLength={128}
        value={form.name}
        error={refused.fields.get('/name')}
        onValue={(name) => onChange({ name })}
      />
      <Amounts {...{ form, onChange, refused }} of={amounts.filter(({ name }) => usual.has(name))} />
      <details class="more" open={isRefused || undefined}>
        <summary>More options</summary>
        <Amounts {...{ form, onChange, refused }} of={amounts.filter(({ name }) => !usual.has(name))} />
        <Choices {...{ form, onChange, refused }} />
      </details>
    </>
  );
}

function Amounts({ form, onChange, refused, of }: OptionsProps & { readonly of: typeof amounts }) {
  return (
    <div class="job-amounts">
      {of.map((amount) => (
        <TextInput
          key={amount.name}
          label={amount.label}
          hint={amount.hint}
          required={false}
          inputMode={amount.isWhole ? 'numeric' : 'decimal'}
          value={form.amounts[amount.name] ?? ''}
          error={faultOfAmount(amount, form.amounts[amount.name] ?? '') ?? refused.fields.get(pathOfAmount(amount))}
          onValue={(text) => onChange({ amounts: { ...form.amounts, [amount.name]: text } })}
        />
      ))}
    </div>
  );
}

function Choices({ form, onChange, refused: { fields } }: OptionsProps) {
  const allocations = useResource<{ items: Allocation[] }>('/api/v1/allocations?limit=500', {
    subjects: ['allocation'],
  });
  const own = (allocations.data?.items ?? []).filter(
    ({ project_id: project }) => form.project_id === undefined || project === form.project_id,
  );
  return (
    <>
      <Select
        label="Sandbox"
        hint="What keeps it apart from its host. Never replaced by another one."
        required={false}
        value={form.sandbox}
        error={fields.get('/options/sandbox')}
        choices={[
          { value: '', label: 'runc' },
          { value: 'gvisor', label: 'gVisor' },
        ]}
        onValue={(sandbox) => onChange({ sandbox })}
      />
      <Select
        label="After a step that failed"
        hint="The job has failed either way."
        required={false}
        value={form.on_failure}
        error={fields.get('/options/on_failure')}
        choices={[
          { value: '', label: 'Later groups do not run' },
          { value: 'continue', label: 'Later groups run' },
        ]}
        onValue={(on_failure) => onChange({ on_failure })}
      />
      <Select
        label="Allocation"
        hint="The only one that it may run on."
        required={false}
        value={form.allocation_id}
        error={fields.get('/options/allocation_id')}
        choices={[
          { value: '', label: 'Any of the project' },
          ...own.map(({ id, name }) => ({ value: id, label: cleanLine(name) })),
        ]}
        onValue={(allocation_id) => onChange({ allocation_id })}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={form.keep}
          onChange={({ currentTarget }) => onChange({ keep: currentTarget.checked })}
        />
        <span>
          Keep its containers and volumes on the host after its end
          <span class="muted"> — until it is removed; its cards are free at once</span>
        </span>
      </label>
    </>
  );
}

interface RefusedProps {
  readonly error: NonNullable<ReturnType<typeof useSubmit>['error']>;
  readonly placed: PlacedErrors;
}

/** What is said at its place is not said again. */
function Refused({ error, placed }: RefusedProps) {
  const { code, message, hint, correlationId } = error;
  return (
    <FailureView title="It was not submitted." error={{ code, message, hint, correlationId, errors: placed.others }} />
  );
}
