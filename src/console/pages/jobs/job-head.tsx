/** What stands above the tabs: what went wrong, where it runs, what it was given, and how often it was begun. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { counted, words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Facts } from '../../parts/page.tsx';
import { Timestamp, useNow } from '../../parts/timestamp.tsx';
import { secondsText } from '../instance/amounts.ts';
import { cleanLine } from '../instance/clean-text.ts';
import { Trouble } from '../instance/trouble.tsx';
import { needsWords } from './needs-words.ts';
import { durationWords, endedOf } from './step-words.ts';

export interface JobPartProps {
  readonly job: JobView;
  /** Address of its page. */
  readonly base: string;
}

export function JobHead({ job, base }: JobPartProps) {
  return (
    <div class="instance-head">
      {job.warnings.length > 0 && (
        <div class="notice notice-warning" role="note">
          <Icon name="warning" />
          <p>
            <strong>{counted(job.warnings.length, 'warning')} about its document.</strong>{' '}
            <Link to={`${base}/document`}>Look at {job.warnings.length === 1 ? 'it' : 'them'}</Link>
          </p>
        </div>
      )}
      {job.run_warnings.length > 0 && (
        <div class="notice notice-warning" role="note">
          <Icon name="warning" />
          <div>
            <p>
              <strong>Not all of it was fetched or kept.</strong>
            </p>
            <ul>
              {job.run_warnings.map(({ kind, name, message }) => (
                <li key={`${kind} ${name}`}>{cleanLine(message)}</li>
              ))}
            </ul>
          </div>
        </div>
      )}
      {job.failure && <Trouble failure={job.failure} way={whatToDo(job.recommended_action)} />}
      <section class="section" aria-label="What it is">
        <div class="fact-grid">
          <Facts facts={progress(job)} />
          <Facts facts={place(job)} />
        </div>
        {job.attempts.length > 1 && <Attempts attempts={job.attempts} />}
        <MoreDetails job={job} />
      </section>
    </div>
  );
}

function whatToDo(action: JobView['recommended_action']) {
  return (
    action !== null && (
      <>
        What to do: <strong>{words(action)}</strong>.
      </>
    )
  );
}

function progress(job: JobView) {
  return [
    ['Steps', `${endedOf(job.steps)} of ${job.steps.length} are over`],
    ['Submitted', <Timestamp key="at" at={job.created_at} />],
    ['Waited', <Waited key="waited" job={job} />],
    ['Ran', job.started_at && <Ran key="ran" job={job} />],
  ] as const;
}

function Waited({ job: { queued_at, started_at, ended_at } }: { readonly job: JobView }) {
  const now = useNow();
  const until = started_at ?? ended_at;
  const seconds = Math.max(0, (until === null ? now : Date.parse(until)) - Date.parse(queued_at)) / 1000;
  return (
    <>
      {secondsText(seconds)} for a host{until === null && ', and waits'}
    </>
  );
}

function Ran({ job }: { readonly job: JobView }) {
  const now = useNow();
  return (
    <>
      {durationWords(job, now)} of at most {secondsText(job.options.deadline_seconds)}
    </>
  );
}

function place({ node_id, node_name, allocation_id, needs, options, attempt }: JobView) {
  return [
    [
      'Node',
      node_id === null ? (
        'none yet'
      ) : (
        <Link key="node" to={`/nodes/${encodeURIComponent(node_id)}`}>
          {cleanLine(node_name ?? node_id)}
        </Link>
      ),
    ],
    [
      'Allocation',
      allocation_id && (
        <Link key="allocation" to={`/allocations/${encodeURIComponent(allocation_id)}`}>
          {allocation_id}
        </Link>
      ),
    ],
    ['Needs', needsWords(needs)],
    ['Attempt', attempt === 0 ? null : `${attempt} of at most ${options.retries + 1}`],
  ] as const;
}

function Attempts({ attempts }: { readonly attempts: JobView['attempts'] }) {
  return (
    <details class="more">
      <summary>{counted(attempts.length, 'attempt')}</summary>
      <ol class="lines">
        {attempts.map(({ number, node_id, state, dispatched_at, failure }) => (
          <li key={number}>
            <span class="row">
              <strong>{number}</strong> <Badge state={state} />
              <Link to={`/nodes/${encodeURIComponent(node_id)}`}>{node_id}</Link>
            </span>
            <span class="muted">
              {failure && `${cleanLine(failure.message)} `}
              <Timestamp at={dispatched_at} />
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function MoreDetails({ job }: { readonly job: JobView }) {
  const { id, dialect, document_sha256, input_commits = {}, options, created_by, created_at } = job;
  return (
    <details class="more">
      <summary>Options and ids</summary>
      <div class="fact-grid">
        <Facts
          facts={[
            ['Sandbox', options.sandbox],
            ['After a failure', options.on_failure === 'stop' ? 'later groups do not run' : 'later groups run'],
            ['Deadline', secondsText(options.deadline_seconds)],
            ['Retries', String(options.retries)],
            ['Containers', options.keep ? 'are kept until it is removed' : 'go with its end'],
            ['Only on', options.allocation_id],
          ]}
        />
        <Facts
          facts={[
            ['Job', <CopyText key="id" text={id} what="the id of the job" />],
            ['Dialect', dialect],
            [
              'Document',
              <CopyText
                key="document"
                text={document_sha256}
                shown={`${document_sha256.slice(0, 12)}…`}
                what="the sha256 of the document"
              />,
            ],
            ...Object.entries(input_commits).map(
              ([input, commit]) =>
                [
                  `Input ${input}`,
                  <CopyText
                    key={input}
                    text={commit}
                    shown={`commit ${commit.slice(0, 12)}…`}
                    what={`the commit of ${input}`}
                  />,
                ] as const,
            ),
            ['Submitted', <Timestamp key="at" at={created_at} exact />],
            ['By token', cleanLine(created_by)],
          ]}
        />
      </div>
    </details>
  );
}
