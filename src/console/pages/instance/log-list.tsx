/**
 * The lines of a log in a window: only those that can be seen are in the page, so a hundred thousand cost no more than
 * forty. It stays at the end while whoever reads is there, and never moves under the eye of who reads further up.
 */
import type { Ref } from 'preact';
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { clockText } from './amounts.ts';
import type { LogBuffer, LogLine } from './log-buffer.ts';
import { type LogRow, LogRows } from './log-rows.ts';
import { piecesOf } from './log-search.ts';

export interface LogListHandle {
  /** Brings a line into the middle. */
  show(line: number): void;
  toEnd(): void;
  /** The first line that can be seen. */
  top(): number;
}

export interface LogListProps {
  readonly buffer: LogBuffer;
  /** Changes whenever the buffer has. */
  readonly version: number;
  readonly isWrapped: boolean;
  readonly hasTimes: boolean;
  readonly query: string;
  /** Line of the hit that one is at. */
  readonly current: number | undefined;
  readonly onFollowing: (isFollowing: boolean) => void;
  readonly handle: Ref<LogListHandle>;
}

/** The same in `instance.css`. */
const rowHeight = 20;
/** Rows above and below what can be seen. */
const spare = 12;
const timeColumns = 13;
const mostServiceColumns = 16;

interface View {
  readonly top: number;
  readonly height: number;
  readonly width: number;
}

export function LogList(props: LogListProps) {
  const { buffer, version, isWrapped, hasTimes, query, current, onFollowing, handle } = props;
  const box = useRef<HTMLElement>(null);
  const ruler = useRef<HTMLSpanElement>(null);
  const isFollowing = useRef(true);
  const lastTop = useRef(0);
  const [view, setView] = useState<View>({ top: 0, height: 600, width: 800 });
  const [character, setCharacter] = useState(7.5);

  const services = useServiceColumns(buffer, version);
  const gutter = (hasTimes ? timeColumns : 0) + (services === 0 ? 0 : services + 1) + 2;
  const columns = isWrapped
    ? Math.max(20, Math.floor((view.width - 24) / character) - gutter)
    : Number.POSITIVE_INFINITY;
  const rows = useMemo(() => new LogRows(buffer, columns), [buffer, columns]);
  rows.count();

  useKeptPlace({ box, rows, buffer, isFollowing });
  useEffect(() => {
    const { current: element } = box;
    if (!element) return;
    const look = () => {
      setCharacter((ruler.current?.getBoundingClientRect().width ?? 750) / 100);
      setView({ top: element.scrollTop, height: element.clientHeight, width: element.clientWidth });
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    look();
    return () => observer.disconnect();
  }, []);
  useImperativeHandle(handle, () => ({
    show: (line) => {
      isFollowing.current = false;
      onFollowing(false);
      box.current?.scrollTo({ top: (rows.rowOf(line) - rows.first) * rowHeight - view.height / 2 });
    },
    toEnd: () => {
      isFollowing.current = true;
      onFollowing(true);
      box.current?.scrollTo({ top: box.current.scrollHeight });
    },
    top: () => rows.between(rows.first + Math.floor(view.top / rowHeight), rows.end)[0]?.line ?? buffer.first,
  }));

  const scrolled = () => {
    const { current: element } = box;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight, clientWidth } = element;
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - rowHeight;
    // What grows below leaves the end as well, and is followed: only who goes up wants to stay there.
    const goesOn = isAtEnd || (isFollowing.current && scrollTop >= lastTop.current);
    if (goesOn !== isFollowing.current) onFollowing(goesOn);
    isFollowing.current = goesOn;
    lastTop.current = scrollTop;
    setView({ top: scrollTop, height: clientHeight, width: clientWidth });
  };
  const from = rows.first + Math.max(0, Math.floor(view.top / rowHeight) - spare);
  const shown = rows.between(from, from + Math.ceil(view.height / rowHeight) + 2 * spare);
  return (
    <section
      ref={box}
      class={isWrapped ? 'log' : 'log log-wide'}
      aria-label="Log"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that.
      tabIndex={0}
      onScroll={scrolled}
    >
      <span ref={ruler} class="log-ruler" aria-hidden="true">
        {'0'.repeat(100)}
      </span>
      <div class="log-all" style={{ height: `${(rows.end - rows.first) * rowHeight}px` }}>
        <div
          class="log-window"
          style={{ transform: `translateY(${((shown[0]?.row ?? rows.first) - rows.first) * rowHeight}px)` }}
        >
          {shown.map((row) => (
            <Row
              key={row.row}
              row={row}
              line={buffer.at(row.line)}
              services={services}
              hasTimes={hasTimes}
              query={query}
              isCurrent={row.line === current}
            />
          ))}
        </div>
      </div>
    </section>
  );
}

interface RowProps {
  readonly row: LogRow;
  readonly line: LogLine | undefined;
  readonly services: number;
  readonly hasTimes: boolean;
  readonly query: string;
  readonly isCurrent: boolean;
}

function Row({ row: { from, to }, line, services, hasTimes, query, isCurrent }: RowProps) {
  if (!line) return <div class="log-row" />;
  const { time, channel, service, text } = line;
  const isFirst = from === 0;
  return (
    <div class={`log-row log-${channel}${isCurrent ? ' log-current' : ''}`}>
      {hasTimes && (
        <span class="log-time" style={{ width: `${timeColumns}ch` }}>
          {isFirst ? exactClock(time) : ''}
        </span>
      )}
      {services > 0 && (
        <span class="log-service" style={{ width: `${services + 1}ch` }} title={service}>
          {isFirst ? (service ?? '') : ''}
        </span>
      )}
      <span class="log-sign" title={channel === 'stderr' ? 'stderr' : undefined}>
        {channel === 'stderr' && isFirst ? (
          <span aria-label="stderr:" role="img">
            !
          </span>
        ) : (
          ''
        )}
      </span>
      <span class="log-text">
        {query === ''
          ? text.slice(from, to)
          : piecesOf(text, query, from, to).map(({ text: piece, isHit }, index) =>
              isHit ? <mark key={index}>{piece}</mark> : piece,
            )}
      </span>
    </div>
  );
}

/** To the millisecond. */
function exactClock(time: string): string {
  const clock = clockText(time);
  return clock === '' ? '' : `${clock}.${String(new Date(time).getMilliseconds()).padStart(3, '0')}`;
}

/** Columns that the names of services need; 0 where no line has one. Looks at what came since only. */
function useServiceColumns(buffer: LogBuffer, version: number): number {
  const seen = useRef({ buffer, next: 0, columns: 0 });
  return useMemo(() => {
    if (seen.current.buffer !== buffer) seen.current = { buffer, next: 0, columns: 0 };
    const known = seen.current;
    for (let number = Math.max(known.next, buffer.first); number < buffer.end; number += 1) {
      const length = buffer.at(number)?.service?.length ?? 0;
      known.columns = Math.min(mostServiceColumns, Math.max(known.columns, length));
    }
    known.next = buffer.end;
    return known.columns;
  }, [buffer, version]);
}

interface Place {
  readonly box: { readonly current: HTMLElement | null };
  readonly rows: LogRows;
  readonly buffer: LogBuffer;
  readonly isFollowing: { readonly current: boolean };
}

/** Where one is in the log, over lines that come and go and over another width. With every look: any may be longer. */
function useKeptPlace({ box, rows, buffer, isFollowing }: Place): void {
  const last = useRef({ rows, first: rows.first, line: buffer.first });
  useLayoutEffect(() => {
    const { current: element } = box;
    if (!element) return;
    const before = last.current;
    if (isFollowing.current) {
      element.scrollTop = element.scrollHeight;
    } else if (before.rows !== rows) {
      element.scrollTop = (rows.rowOf(before.line) - rows.first) * rowHeight;
    } else if (rows.first > before.first) {
      element.scrollTop -= (rows.first - before.first) * rowHeight;
    }
    const top = rows.first + Math.floor(element.scrollTop / rowHeight);
    last.current = { rows, first: rows.first, line: rows.between(top, top + 1)[0]?.line ?? buffer.first };
  });
}
