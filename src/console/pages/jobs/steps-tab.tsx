/** The checks and steps of a job, these as a drawing, and all that is known of the one that was chosen in it. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { useResource } from '../../lib/use-resource.ts';
import { useNow } from '../../parts/timestamp.tsx';
import { ChecksSection } from './checks-section.tsx';
import { StepGraph } from './step-graph.tsx';
import { StepPanel } from './step-panel.tsx';
import { detailWords, mostTelling, stepSigns } from './step-words.ts';
import type { SshAccess } from './tunnel.ts';

export interface StepsTabProps {
  readonly job: JobView;
  /** Address of its page. */
  readonly base: string;
  /** Id of a step, as the address has it. */
  readonly asked: string | undefined;
}

export function StepsTab({ job, base, asked }: StepsTabProps) {
  const now = useNow();
  const isAnswering = job.endpoints.length > 0 && job.ended_at === null;
  const place = job.allocation_id !== null && isAnswering ? job.allocation_id : undefined;
  const { data } = useResource<{ readonly ssh: SshAccess | null }>(
    place === undefined ? null : `/api/v1/allocations/${encodeURIComponent(place)}`,
  );
  const byId = new Map(job.steps.map((step) => [step.id, step]));
  const chosen = asked !== undefined && byId.has(asked) ? asked : mostTelling(job.steps);
  const step = chosen === undefined ? undefined : byId.get(chosen);
  return (
    <>
      <ChecksSection checks={job.checks} />
      <div class="graph-and-step">
        <section class="section" aria-label="Steps of the job">
          <StepGraph
            steps={job.steps}
            chosen={chosen}
            lookOf={(id) => {
              const each = byId.get(id);
              return (
                each && {
                  ...{ state: each.state, sign: stepSigns[each.state], detail: detailWords(each, now) },
                  to: `${base}/steps?step=${encodeURIComponent(id)}`,
                }
              );
            }}
          />
        </section>
        {step && (
          <StepPanel
            step={step}
            base={base}
            names={new Map(job.steps.map(({ id, name }) => [id, name]))}
            endpoints={isAnswering ? job.endpoints.filter((each) => each.step === step.id) : []}
            ssh={data?.ssh ?? null}
          />
        )}
      </div>
    </>
  );
}
