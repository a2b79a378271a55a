/** Searches a log while the page goes on: a slice at a time, and again what comes later. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { LogBuffer } from './log-buffer.ts';
import { LogSearch } from './log-search.ts';

/** Lines of one slice: a few milliseconds. */
const slice = 10_000;

export interface FoundLines {
  readonly search: LogSearch;
  readonly count: number;
  readonly isSearching: boolean;
}

export function useLogSearch(buffer: LogBuffer, query: string, version: number): FoundLines {
  const search = useMemo(() => new LogSearch(buffer, query), [buffer, query]);
  const [, setLooks] = useState(0);
  const [isSearching, setSearching] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      const goesOn = search.look(slice);
      setSearching(goesOn);
      setLooks((looks) => looks + 1);
      if (goesOn) timer = setTimeout(look);
    };
    look();
    return () => clearTimeout(timer);
  }, [search, version]);
  return { search, count: search.count, isSearching };
}
