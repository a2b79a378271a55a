/** What an instance, a service of it or a task wrote: live, over restarts, and after its end. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { counted } from '../../lib/format.ts';
import { navigate, useRoute } from '../../lib/router.tsx';
import { Badge, type Tone } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Filter } from '../../parts/field.tsx';
import { cleanLine } from './clean-text.ts';
import { type InstanceEvent, tasksOf } from './instance-events.ts';
import { mostLines } from './log-buffer.ts';
import { LogDownload } from './log-download.tsx';
import { LogFeed } from './log-feed.ts';
import { LogList, type LogListHandle } from './log-list.tsx';
import { LogSearchBox } from './log-search-box.tsx';
import { useLogSearch } from './use-log-search.ts';

/** Lines that are asked for at first; all that are kept where somebody wants them. */
const firstLines = 10_000;

export interface LogsTabProps {
  readonly instance: InstanceView;
  readonly path: string;
  readonly events: readonly InstanceEvent[];
}

/** What is read: `''` for all, `service NAME`, or `task ID`. */
export function LogsTab({ instance, path, events }: LogsTabProps) {
  const { query } = useRoute();
  const [isWhole, setWhole] = useState(false);
  const asked = sourceOf(query);
  const choices = useChoices(instance, events, asked);
  const choose = (source: string) => {
    setWhole(false);
    const [kind, name = ''] = source.split(' ');
    const chosen = kind === '' ? '' : `?${kind}=${encodeURIComponent(name)}`;
    navigate(`/instances/${encodeURIComponent(instance.id)}/logs${chosen}`, { replace: true });
  };
  const tail = isWhole ? mostLines : firstLines;
  return (
    <OneLog
      key={`${asked} ${tail}`}
      {...{ instance, path, asked, choices, tail }}
      onSource={choose}
      onWhole={isWhole ? undefined : () => setWhole(true)}
    />
  );
}

interface OneLogProps {
  readonly instance: InstanceView;
  readonly path: string;
  readonly asked: string;
  readonly choices: readonly { readonly value: string; readonly label: string }[];
  readonly tail: number;
  readonly onSource: (source: string) => void;
  /** Undefined where all is asked for already. */
  readonly onWhole: (() => void) | undefined;
}

function OneLog({ instance, path, asked, choices, tail, onSource, onWhole }: OneLogProps) {
  const source = pathOf(path, asked);
  const { feed, version } = useFeed(`${source}&follow=true&tail=${tail}`, isRunningSince(instance, asked));
  const [query, setQuery] = useState('');
  const [current, setCurrent] = useState<number>();
  const [isWrapped, setWrapped] = useState(true);
  const [hasTimes, setTimes] = useState(() => innerWidth > 720);
  const [isFollowing, setFollowing] = useState(true);
  const list = useRef<LogListHandle>(null);
  const found = useLogSearch(feed.buffer, query, version);
  const { buffer, isPaused, held, state, failure } = feed;

  const go = (way: 'after' | 'before') => {
    const from = current ?? (list.current?.top() ?? 0) - (way === 'after' ? 1 : 0);
    const hit = found.search[way](from);
    setCurrent(hit);
    if (hit !== undefined) list.current?.show(hit);
  };
  return (
    <div class="table-box">
      <div class="table-tools log-tools">
        <Filter label="Which log" value={asked} onValue={onSource} choices={choices} />
        <LogSearchBox
          query={query}
          onQuery={(text) => {
            setQuery(text);
            setCurrent(undefined);
          }}
          found={found}
          current={current}
          onGo={go}
        />
        <span class="row log-switches">
          <Switch isOn={isWrapped} onSwitch={setWrapped} label="Wrap" />
          <Switch isOn={hasTimes} onSwitch={setTimes} label="Times" />
        </span>
        <span class="row log-end">
          <FeedBadge feed={feed} />
          {state !== 'ended' && state !== 'refused' && (
            <Button icon={isPaused ? 'down' : 'pause'} onClick={() => (isPaused ? feed.resume() : feed.pause())}>
              {isPaused ? `Resume${held > 0 ? ` (${counted(held, 'new line')})` : ''}` : 'Pause'}
            </Button>
          )}
          <LogDownload buffer={buffer} path={source} name={fileName(instance, asked)} />
        </span>
      </div>
      {failure && <LogTrouble failure={failure} hasLines={buffer.size > 0} />}
      {buffer.size === 0 ? (
        !failure && <NoLines state={state} instance={instance} />
      ) : (
        <div class="log-frame">
          <LogList
            {...{ buffer, version, isWrapped, hasTimes, query, current }}
            onFollowing={setFollowing}
            handle={list}
          />
          {!isFollowing && (
            <Button class="log-newest" icon="down" onClick={() => list.current?.toEnd()}>
              To the newest
            </Button>
          )}
        </div>
      )}
      <p class="log-foot muted">
        {counted(buffer.size, 'line')}
        {buffer.first > 0 && `, the last of ${counted(buffer.end, 'line')}`}
        {onWhole && buffer.size >= tail && (
          <>
            {' · '}
            <button type="button" class="link" onClick={onWhole}>
              Read up to {mostLines.toLocaleString('en')} lines
            </button>
          </>
        )}
      </p>
    </div>
  );
}

interface SwitchProps {
  readonly isOn: boolean;
  readonly onSwitch: (isOn: boolean) => void;
  readonly label: string;
}

function Switch({ isOn, onSwitch, label }: SwitchProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={({ currentTarget }) => onSwitch(currentTarget.checked)} />
      {label}
    </label>
  );
}

const states: Readonly<Record<LogFeed['state'], readonly [label: string, tone: Tone]>> = {
  connecting: ['connecting', 'busy'],
  live: ['live', 'good'],
  lost: ['connection lost, trying again', 'warning'],
  ended: ['end of the log', 'neutral'],
  refused: ['not available', 'bad'],
};

function FeedBadge({ feed: { state, isPaused } }: { readonly feed: LogFeed }) {
  const [label, tone] = isPaused && state === 'live' ? (['paused', 'warning'] as const) : states[state];
  return (
    <span role="status">
      <Badge state={state} label={label} tone={tone} />
    </span>
  );
}

interface LogTroubleProps {
  readonly failure: NonNullable<LogFeed['failure']>;
  readonly hasLines: boolean;
}

/** A container that is gone is no trouble where its words are here. */
function LogTrouble({ failure, hasLines }: LogTroubleProps) {
  const error = { code: failure.code, message: cleanLine(failure.message), hint: cleanLine(failure.hint) };
  return (
    <div class="log-trouble">
      <FailureView error={error} title={hasLines ? 'The log ends here.' : 'The log cannot be read.'} />
    </div>
  );
}

function NoLines({ state, instance }: { readonly state: LogFeed['state']; readonly instance: InstanceView }) {
  if (state === 'connecting' || state === 'lost') return <Empty title="Waiting for the first lines." />;
  if (state === 'ended') return <Empty title="It wrote nothing." />;
  return (
    <Empty title="Nothing was written yet.">
      {instance.state === 'running' ? 'Lines appear here as soon as they are written.' : 'It is not running yet.'}
    </Empty>
  );
}

/** The feed of a path, and a number that changes whenever it has. A log that ended goes on when what writes it runs again. */
function useFeed(path: string, runningSince: string | undefined): { readonly feed: LogFeed; readonly version: number } {
  const [version, setVersion] = useState(0);
  const feed = useMemo(() => new LogFeed(() => setVersion((last) => last + 1)), [path]);
  useEffect(() => {
    // While it is stopped nothing is added to what was read before.
    if (feed.state === 'ended' && runningSince === undefined) return;
    if (feed.state !== 'ended' && feed.state !== 'connecting') return;
    feed.state = 'connecting';
    const gone = new AbortController();
    feed.open(path, gone.signal);
    opened.get(feed)?.abort();
    opened.set(feed, gone);
  }, [feed, path, runningSince]);
  useEffect(() => () => opened.get(feed)?.abort(), [feed]);
  return { feed, version };
}

/** How to close the stream of each feed. */
const opened = new WeakMap<LogFeed, AbortController>();

const moving: ReadonlySet<InstanceView['state']> = new Set([
  'running',
  'degraded',
  'starting',
  'restarting',
  'deploying',
]);

/** A task is over when its log is. */
function isRunningSince({ state, state_since }: InstanceView, asked: string): string | undefined {
  return moving.has(state) && !asked.startsWith('task ') ? state_since : undefined;
}

function sourceOf(query: URLSearchParams): string {
  for (const kind of ['service', 'task']) {
    const name = query.get(kind);
    if (name !== null && /^[A-Za-z0-9_.-]{1,128}$/.test(name)) return `${kind} ${name}`;
  }
  return '';
}

/** Begins a query that more can be added to. */
function pathOf(path: string, source: string): string {
  const [kind, name = ''] = source.split(' ');
  const only = { service: `service=${encodeURIComponent(name)}`, task: `task_id=${encodeURIComponent(name)}` };
  return `${path}/logs?${kind === 'service' || kind === 'task' ? only[kind] : ''}`;
}

function useChoices(instance: InstanceView, events: readonly InstanceEvent[], asked: string) {
  const services = instance.members.map(({ name }) => name).filter((name) => name !== 'main');
  const tasks = useMemo(() => tasksOf(events, instance.current_task_id), [events, instance.current_task_id]);
  const known = [
    { value: '', label: services.length > 0 ? 'All services' : 'Container output' },
    ...services.map((name) => ({ value: `service ${name}`, label: `Service ${cleanLine(name)}` })),
    ...tasks.map(({ id, label }) => ({ value: `task ${id}`, label: `Task: ${label}` })),
  ];
  return known.some(({ value }) => value === asked) ? known : [...known, { value: asked, label: cleanLine(asked) }];
}

function fileName({ app_slug, id }: InstanceView, asked: string): string {
  return `${[app_slug, id, ...asked.split(' ').filter((part) => part !== '')].join('-')}.log`;
}
