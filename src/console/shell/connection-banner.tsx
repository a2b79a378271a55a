/** Says that what is shown may be old, while it may be. */
import { useEffect, useState } from 'preact/hooks';
import { connection } from '../lib/live.ts';
import { useShared } from '../lib/store.ts';
import { Icon } from '../parts/icon.tsx';

/** A reconnection within this time is nobody's concern. */
const graceMs = 1000;

export function ConnectionBanner() {
  const isLost = useShared(connection) === 'lost';
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    if (!isLost) return setShown(false);
    const timer = setTimeout(() => setShown(true), graceMs);
    return () => clearTimeout(timer);
  }, [isLost]);
  return (
    <div role="status" aria-live="polite">
      {isShown && (
        <p class="notice notice-warning">
          <Icon name="warning" />
          Connection lost, retrying. What you see may be out of date.
        </p>
      )}
    </div>
  );
}
