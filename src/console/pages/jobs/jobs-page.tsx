/** All jobs that one may see, live. */
import type { JobState } from '../../../contract/job-state.ts';
import type { JobListed } from '../../../server/jobs/job-view.ts';
import { counted, words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { Badge } from '../../parts/badge.tsx';
import type { Column } from '../../parts/data-table.tsx';
import { inWords, ListPage, projectColumn, useNames } from '../../parts/list-page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { needsWords } from './needs-words.ts';

/** Named here, as the table of the contract would bring all that describes its schema. */
const states: Readonly<Record<JobState, true>> = {
  ...{ queued: true, preparing: true, running: true, succeeded: true },
  ...{ failed: true, cancelled: true, expired: true },
};

export function JobsPage() {
  const session = theSession();
  const isPlatform = session.project === null;
  const projects = useNames(isPlatform ? '/api/v1/projects' : null);
  const canSubmit = whyNotMember(session) === undefined;
  return (
    <ListPage<JobListed>
      title="Jobs"
      lead={`What runs to its end, ran, or waits for a host${isPlatform ? ', of all projects' : ''}.`}
      actions={
        canSubmit && (
          <Link class="button button-primary" to="/jobs/new">
            Submit a job
          </Link>
        )
      }
      path="/api/v1/jobs"
      asked={['state', 'project_id']}
      options={{ subjects: ['job'] }}
      name="jobs"
      one="job"
      columns={isPlatform ? [...columns.slice(0, 2), projectColumn(projects), ...columns.slice(2)] : columns}
      filters={() => [
        { name: 'state', all: 'All states', choices: inWords(...Object.keys(states)) },
        ...(isPlatform ? [{ name: 'project_id', all: 'All projects', choices: projects }] : []),
      ]}
      icon="jobs"
      none="No job was submitted yet."
      hint={
        canSubmit ? (
          <Link to="/jobs/new">Submit a job definition</Link>
        ) : (
          'Somebody with the role member can submit one.'
        )
      }
    />
  );
}

const columns: readonly Column<JobListed>[] = [
  {
    ...{ title: 'Name', share: 2.1, value: ({ name, id }) => `${name} ${id}` },
    cell: ({ id, name, dialect }) => (
      <>
        <Link to={`/jobs/${encodeURIComponent(id)}`}>{cleanLine(name)}</Link>
        <span class="cell-note">{dialect}</span>
      </>
    ),
  },
  {
    ...{ title: 'State', share: 1.6, value: ({ state }) => words(state) },
    cell: ({ state, failure, reason }) => <Badge state={state} title={cleanLine(failure?.message ?? reason)} />,
  },
  {
    ...{ title: 'Steps', share: 1, value: ({ steps_ended: ended, steps_total: total }) => ended / Math.max(1, total) },
    cell: ({ steps_ended: ended, steps_total: total }) => `${ended} of ${total}`,
  },
  {
    ...{ title: 'Node', share: 1.4, wide: true, value: ({ node_name }) => node_name },
    cell: ({ node_id, node_name, attempt }) =>
      node_id === null ? (
        <span class="muted">none yet</span>
      ) : (
        <>
          <Link to={`/nodes/${encodeURIComponent(node_id)}`}>{cleanLine(node_name ?? node_id)}</Link>
          {attempt > 1 && <span class="cell-note">{counted(attempt, 'attempt')}</span>}
        </>
      ),
  },
  {
    ...{
      title: 'Needs',
      share: 2.3,
      wide: true,
      value: ({ needs }) => needs.gpu_count * 10_000 + (needs.cpu_cores ?? 0),
    },
    cell: ({ needs }) => needsWords(needs),
  },
  {
    ...{ title: 'Submitted', share: 1.1, wide: true, value: ({ created_at }) => Date.parse(created_at) },
    cell: ({ created_at }) => <Timestamp at={created_at} />,
  },
];
