/** One job: how it stands and why, its steps, what they say, and what is kept of it. */
import { useEffect, useRef } from 'preact/hooks';
import type { JobState } from '../../../contract/job-state.ts';
import type { JobView } from '../../../server/jobs/job-view.ts';
import { Link, navigate, useRoute } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { type TabChoice, Tabs } from '../instance/tabs.tsx';
import { useEventsOf } from '../instance/use-events-of.ts';
import { DocumentTab } from './document-tab.tsx';
import { JobActions } from './job-actions.tsx';
import { JobEvents } from './job-events.tsx';
import { JobHead } from './job-head.tsx';
import { JobLogs } from './job-logs.tsx';
import { OutputsTab } from './outputs-tab.tsx';
import { StepsTab } from './steps-tab.tsx';

const tabs = [
  { id: 'steps', title: 'Steps' },
  { id: 'logs', title: 'Logs' },
  { id: 'outputs', title: 'Outputs' },
  { id: 'events', title: 'Events' },
  { id: 'document', title: 'Document' },
] as const satisfies readonly TabChoice[];

export interface JobPageProps {
  readonly id: string;
  /** As the address has it. */
  readonly tab: string | undefined;
}

export function JobPage({ id, tab }: JobPageProps) {
  const path = `/api/v1/jobs/${encodeURIComponent(id)}`;
  const resource = useResource<JobView>(path, { subjects: [id] });
  if (resource.data === undefined || resource.error?.status === 404) {
    return (
      <Page title="Job" above={above}>
        {resource.error?.status === 404 ? (
          <Empty icon="jobs" title="There is no such job.">
            It belongs to another project, or was forgotten some time after its end. <Link to="/jobs">To the jobs</Link>
          </Empty>
        ) : (
          <Shown of={resource} title="The job cannot be shown.">
            {() => null}
          </Shown>
        )}
      </Page>
    );
  }
  return <Loaded job={resource.data} isStale={resource.stale} path={path} tab={tab} reload={resource.reload} />;
}

const above = [{ title: 'Jobs', to: '/jobs' }];

interface LoadedProps {
  readonly job: JobView;
  readonly isStale: boolean;
  readonly path: string;
  readonly tab: string | undefined;
  readonly reload: () => void;
}

function Loaded({ job, isStale, path, tab, reload }: LoadedProps) {
  const { query } = useRoute();
  const events = useEventsOf(path, job.id);
  const name = cleanLine(job.name);
  useStateNews(name, job.state);
  const open = tabs.find(({ id }) => id === tab)?.id ?? 'steps';
  const base = `/jobs/${encodeURIComponent(job.id)}`;
  const step = query.get('step') ?? undefined;
  const show = (next: string) => {
    // The step that one looks at is the one whose log one wants next.
    const kept = step !== undefined && (next === 'steps' || next === 'logs');
    navigate(`${base}/${next}${kept ? `?step=${encodeURIComponent(step)}` : ''}`, { replace: true });
  };
  return (
    <Page
      title={name}
      above={above}
      badges={
        <>
          <Badge state={job.state} />
          <span class="muted state-since">
            <Timestamp at={job.state_since} />
            {isStale && ', as last seen'}
          </span>
        </>
      }
      lead={cleanLine(job.reason)}
      actions={<JobActions job={job} path={path} reload={reload} />}
    >
      <div class={isStale ? 'instance stale' : 'instance'}>
        <JobHead job={job} base={base} />
        <Tabs label={`About ${name}`} tabs={tabs} open={open} onOpen={show}>
          {open === 'steps' && <StepsTab job={job} base={base} asked={step} />}
          {open === 'logs' && <JobLogs job={job} path={path} base={base} asked={step} />}
          {open === 'outputs' && <OutputsTab job={job} path={path} />}
          {open === 'events' && <JobEvents events={events} />}
          {open === 'document' && <DocumentTab job={job} path={path} />}
        </Tabs>
      </div>
    </Page>
  );
}

const endings: Readonly<Partial<Record<JobState, 'good' | 'bad'>>> = { failed: 'bad', expired: 'bad' };

/** Says when it becomes something else, for whoever does not look at the badge. */
function useStateNews(name: string, state: JobState): void {
  const last = useRef(state);
  useEffect(() => {
    if (last.current !== state) announce(`${name} is ${state}.`, endings[state] ?? 'good');
    last.current = state;
  }, [name, state]);
}
