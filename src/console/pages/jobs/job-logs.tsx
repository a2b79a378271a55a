/** What the steps of a job have written, and the build of its image: live, of one or of all, and after its end from what was kept. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { navigate } from '../../lib/router.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { LogView } from '../instance/log-view.tsx';

export interface JobLogsProps {
  readonly job: JobView;
  readonly path: string;
  /** Address of its page. */
  readonly base: string;
  /** Id of a step, or `build`; undefined for all. */
  readonly asked: string | undefined;
}

/** No step of a job that builds its image has this name. */
const build = 'build';

export function JobLogs({ job, path, base, asked }: JobLogsProps) {
  const step = job.steps.find(({ id }) => id === asked);
  const builds = job.needs.builds === true;
  const chosen = step?.id ?? (builds && asked === build ? build : '');
  const query = chosen === '' ? '' : `step=${encodeURIComponent(chosen)}`;
  const isBegun = (step ?? job).started_at !== null;
  return (
    <LogView
      key={chosen}
      source={`${path}/logs?${query}`}
      asked={chosen}
      choices={[
        { value: '', label: 'All steps' },
        ...(builds ? [{ value: build, label: 'Build of its image' }] : []),
        ...job.steps.map(({ id, name }) => ({ value: id, label: `Step ${cleanLine(name)}` })),
      ]}
      onChoose={(id) => {
        navigate(`${base}/logs${id === '' ? '' : `?step=${encodeURIComponent(id)}`}`, { replace: true });
      }}
      runningSince={runningSince(job)}
      file={`${['job', job.id, ...(chosen === '' ? [] : [chosen])].join('-')}.log`}
      silence={isBegun ? 'Lines appear here as soon as they are written.' : 'It has not begun yet.'}
    />
  );
}

/** An attempt after another writes on; after the end nothing is added. */
function runningSince({ ended_at, attempt }: JobView): string | undefined {
  return ended_at === null ? `attempt ${attempt}` : undefined;
}
