/** One value that parts of the page share, and who has to know when it changes. */
import { useEffect, useState } from 'preact/hooks';

export interface Shared<T> {
  get(): T;
  set(value: T): void;
  /** Returns how to stop. */
  subscribe(listener: () => void): () => void;
}

export function shared<T>(initial: T): Shared<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set: (next) => {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The value, and a new look of the component whenever it changes. */
export function useShared<T>(store: Shared<T>): T {
  const [value, setValue] = useState(store.get);
  useEffect(() => {
    const look = () => setValue(() => store.get());
    // It may have changed between the first look and now.
    look();
    return store.subscribe(look);
  }, [store]);
  return value;
}
