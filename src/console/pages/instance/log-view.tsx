/** One log, live and after its end: searched, paused, wrapped and saved. Which one it is, its owner says. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { counted } from '../../lib/format.ts';
import { Badge, type Tone } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Filter } from '../../parts/field.tsx';
import { cleanLine } from './clean-text.ts';
import { mostLines } from './log-buffer.ts';
import { LogDownload } from './log-download.tsx';
import { LogFeed } from './log-feed.ts';
import { LogList, type LogListHandle } from './log-list.tsx';
import { LogSearchBox } from './log-search-box.tsx';
import { useLogSearch } from './use-log-search.ts';

/** Lines that are asked for at first; all that are kept where somebody wants them. */
const firstLines = 10_000;

export interface LogViewProps {
  /** Path with a query that more can be added to. */
  readonly source: string;
  /** Which of the choices it is. */
  readonly asked: string;
  readonly choices: readonly { readonly value: string; readonly label: string }[];
  readonly onChoose: (value: string) => void;
  /** What changes when it runs again; undefined while nothing is added to it. */
  readonly runningSince: string | undefined;
  /** Name for a file of it. */
  readonly file: string;
  /** What is said while nothing was written. */
  readonly silence: string;
}

/** To be keyed by what is asked for. */
export function LogView(props: LogViewProps) {
  const [isWhole, setWhole] = useState(false);
  const tail = isWhole ? mostLines : firstLines;
  return <OneLog key={tail} {...props} tail={tail} onWhole={isWhole ? undefined : () => setWhole(true)} />;
}

interface OneLogProps extends LogViewProps {
  readonly tail: number;
  /** Undefined where all is asked for already. */
  readonly onWhole: (() => void) | undefined;
}

function OneLog(props: OneLogProps) {
  const { source, asked, choices, onChoose, runningSince, file, silence, tail, onWhole } = props;
  const { feed, version } = useFeed(`${source}&follow=true&tail=${tail}`, runningSince);
  const [query, setQuery] = useState('');
  const [current, setCurrent] = useState<number>();
  const [isWrapped, setWrapped] = useState(true);
  const [hasTimes, setTimes] = useState(() => innerWidth > 720);
  const [isFollowing, setFollowing] = useState(true);
  const list = useRef<LogListHandle>(null);
  const found = useLogSearch(feed.buffer, query, version);
  const { buffer, isPaused, held, state, failure, notice } = feed;

  const go = (way: 'after' | 'before') => {
    const from = current ?? (list.current?.top() ?? 0) - (way === 'after' ? 1 : 0);
    const hit = found.search[way](from);
    setCurrent(hit);
    if (hit !== undefined) list.current?.show(hit);
  };
  return (
    <div class="table-box">
      <div class="table-tools log-tools">
        <Filter label="Which log" value={asked} onValue={onChoose} choices={choices} />
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
          <LogDownload buffer={buffer} path={source} name={file} />
        </span>
      </div>
      {failure && <LogTrouble failure={failure} hasLines={buffer.size > 0} />}
      {buffer.size === 0 ? (
        !failure && <NoLines {...{ state, silence, notice }} />
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

interface NoLinesProps extends Pick<LogFeed, 'state' | 'notice'> {
  readonly silence: string;
}

function NoLines({ state, silence, notice }: NoLinesProps) {
  if (state === 'connecting' || state === 'lost') return <Empty title="Waiting for the first lines." />;
  if (state === 'ended' && notice !== undefined) return <Empty title="There is no log.">{cleanLine(notice)}</Empty>;
  if (state === 'ended') return <Empty title="It wrote nothing." />;
  return <Empty title="Nothing was written yet.">{silence}</Empty>;
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
