/** Asks the control plane what would come of a launch, and asks again whenever that may have changed. */
import { useEffect, useState } from 'preact/hooks';
import type { Preview } from '../../../server/instances/preview-launch.ts';
import { ApiError, api } from '../../lib/api.ts';
import { onEvent } from '../../lib/live.ts';

export interface Check {
  /** The last answer to this very request; undefined while there is none. */
  readonly preview: Preview | undefined;
  /** Why it cannot be asked; it is tried again by itself. */
  readonly error: ApiError | undefined;
}

const againMs = 2000;
const restMs = 400;
const everyMs = 5000;

/** Nothing is asked where there is no body. */
export function useCheck(body: object | undefined): Check {
  const text = body && JSON.stringify(body);
  const [seen, setSeen] = useState<Check & { readonly text: string }>();
  useEffect(() => {
    if (text === undefined) return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      timer = undefined;
      try {
        const preview = await api.post<Preview>('/api/v1/app-instances/checks', JSON.parse(text));
        if (!isOver) setSeen({ text, preview, error: undefined });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (isOver) return;
        setSeen((last) => ({ text, preview: last?.text === text ? last.preview : undefined, error }));
        if (error.status === 0 || error.status >= 429) soon(againMs);
      }
    };
    const soon = (pause: number) => {
      timer ??= setTimeout(ask, pause);
    };
    void ask();
    const stop = onEvent(() => soon(restMs));
    // What happens to hosts is told to the people of the platform only.
    const clock = setInterval(() => soon(0), everyMs);
    return () => {
      isOver = true;
      clearTimeout(timer);
      clearInterval(clock);
      stop();
    };
  }, [text]);
  return seen && seen.text === text ? seen : { preview: undefined, error: undefined };
}
