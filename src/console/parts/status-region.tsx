/** Short news about what was just done: shown for a while, and read out by screen readers. */
import { useEffect } from 'preact/hooks';
import { shared, useShared } from '../lib/store.ts';

interface News {
  readonly text: string;
  readonly tone: 'good' | 'bad';
}

const news = shared<News | undefined>(undefined);
const shownMs = 6000;

/** Says it once, wherever the person is on the page. */
export function announce(text: string, tone: News['tone'] = 'good'): void {
  news.set({ text, tone });
}

/** To be on the page once, from the start: a region that comes with its text is not read out. */
export function StatusRegion() {
  const last = useShared(news);
  useEffect(() => {
    if (!last) return;
    const timer = setTimeout(() => news.set(undefined), shownMs);
    return () => clearTimeout(timer);
  }, [last]);
  return (
    <div class="status-region" role="status" aria-live="polite">
      {last && <p class={`status status-${last.tone}`}>{last.text}</p>}
    </div>
  );
}
