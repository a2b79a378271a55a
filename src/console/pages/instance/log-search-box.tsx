/** The search of a log: what is looked for, how often it is there, and the way from one hit to the next. */
import { Button } from '../../parts/button.tsx';
import { SearchBox } from '../../parts/search-box.tsx';
import type { FoundLines } from './use-log-search.ts';

export interface LogSearchBoxProps {
  readonly query: string;
  readonly onQuery: (query: string) => void;
  readonly found: FoundLines;
  readonly current: number | undefined;
  readonly onGo: (way: 'after' | 'before') => void;
}

export function LogSearchBox({ query, onQuery, found, current, onGo }: LogSearchBoxProps) {
  const { count, search, isSearching } = found;
  const place = search.placeOf(current);
  const none = count === 0 ? 'Nothing is found.' : undefined;
  return (
    <span class="row log-search">
      <SearchBox
        what="the log"
        value={query}
        onValue={onQuery}
        onKeyDown={({ key, shiftKey }) => {
          if (key === 'Enter') onGo(shiftKey ? 'before' : 'after');
        }}
      />
      {query !== '' && (
        <>
          <span class="muted log-count" role="status">
            {place > 0 ? `${place.toLocaleString('en')} of ` : ''}
            {count.toLocaleString('en')} {count === 1 ? 'line' : 'lines'}
            {isSearching && '…'}
          </span>
          <Button tone="quiet" icon="up" aria-label="Hit before" disabledReason={none} onClick={() => onGo('before')} />
          <Button tone="quiet" icon="down" aria-label="Next hit" disabledReason={none} onClick={() => onGo('after')} />
        </>
      )}
    </span>
  );
}
