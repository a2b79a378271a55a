/** One step of a job: how it ended and when, from which image, where it answers, and what was read out of its log. */
import type { JobView } from '../../../server/jobs/job-view.ts';
import { shortDigest } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Facts, Section } from '../../parts/page.tsx';
import { Timestamp, useNow } from '../../parts/timestamp.tsx';
import { cleanLine, cleanLines } from '../instance/clean-text.ts';
import { Trouble } from '../instance/trouble.tsx';
import { CommandsTable } from './commands-table.tsx';
import { durationWords, endWords, type StepView } from './step-words.ts';
import { type SshAccess, tunnelCommand } from './tunnel.ts';

type Endpoint = JobView['endpoints'][number];

export interface StepPanelProps {
  readonly step: StepView;
  /** Address of the page of the job. */
  readonly base: string;
  /** What steps are called, by id. */
  readonly names: ReadonlyMap<string, string>;
  /** Where it answers now. */
  readonly endpoints: readonly Endpoint[];
  readonly ssh: SshAccess | null;
}

export function StepPanel({ step, base, names, endpoints, ssh }: StepPanelProps) {
  const now = useNow();
  const { id, name, state, image, depends_on, started_at, ended_at, attempts, failure, results } = step;
  const { commands = [] } = step;
  const title = cleanLine(name);
  return (
    <Section title={`Step ${title}`} actions={<Badge state={state} />}>
      <div class="stack">
        {failure && <Trouble failure={failure} />}
        <Facts
          facts={[
            ['Ended with', endWords(step)],
            ['Began', started_at && <Timestamp at={started_at} />],
            [ended_at === null ? 'Runs for' : 'Took', durationWords(step, now)],
            ['Starts', attempts > 1 ? String(attempts) : null],
            ['Waits for', depends_on.map((other) => cleanLine(names.get(other) ?? other)).join(', ')],
            ['Group', step.group.startsWith('op:') ? null : cleanLine(step.group)],
            ['Image', `${cleanLine(image.name)}${image.tag === null ? '' : `:${cleanLine(image.tag)}`}`],
            [
              'Digest',
              image.digest && (
                <CopyText text={image.digest} shown={shortDigest(image.digest)} what="the digest of the image" />
              ),
            ],
          ]}
        />
        <Link class="button step-log" to={`${base}/logs?step=${encodeURIComponent(id)}`}>
          Log of {title}
        </Link>
        {endpoints.map((endpoint) => (
          <Answering key={`${endpoint.name} ${endpoint.port}`} endpoint={endpoint} ssh={ssh} />
        ))}
        {commands.length > 0 && <CommandsTable commands={commands} />}
        {Object.keys(results).length > 0 && <Results results={results} />}
      </div>
    </Section>
  );
}

function Answering({ endpoint, ssh }: { readonly endpoint: Endpoint; readonly ssh: SshAccess | null }) {
  const { name, protocol, host, port, container_port } = endpoint;
  const address = `http://${host}:${port}/`;
  return (
    <div class="ways">
      <h3>
        Endpoint {cleanLine(name)} <span class="muted">port {container_port} of the step</span>
      </h3>
      {ssh === null ? (
        <p class="muted">
          It is port {port} of the loopback address of its node. Nobody said how to log in there: ask an operator for an
          account, or to set `ssh` of the allocation.
        </p>
      ) : (
        <>
          <p>Open the tunnel on your own computer and leave it open:</p>
          <CopyText text={tunnelCommand(ssh, port)} what={`the tunnel command of ${cleanLine(name)}`} block />
        </>
      )}
      {protocol === 'http' ? (
        <p>
          Then{' '}
          <a href={address} target="_blank" rel="noopener noreferrer">
            open {cleanLine(name)} in a new tab
          </a>
          .
        </p>
      ) : (
        <p>
          Then connect to <code>{`${host}:${port}`}</code>.
        </p>
      )}
    </div>
  );
}

/** Entries that are shown at once. */
const fewMatches = 20;

function Results({ results }: { readonly results: StepView['results'] }) {
  return (
    <div>
      <h3>Results</h3>
      <ul class="plain-list results">
        {Object.entries(results).map(([name, found]) => (
          <li key={name}>
            <strong>{cleanLine(name)}</strong>
            {found.slice(0, fewMatches).map((match, at) => (
              // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that.
              <pre key={at} tabIndex={0}>
                {cleanLines(match)}
              </pre>
            ))}
            {found.length === 0 && <p class="muted">Nothing matched.</p>}
            {found.length > fewMatches && <p class="muted">and {found.length - fewMatches} more</p>}
          </li>
        ))}
      </ul>
    </div>
  );
}
