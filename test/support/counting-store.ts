/** A transaction of which every question is written down: how often the store is asked is what a list costs. */
import type { ReadTx } from '../../src/server/db/store.ts';

/** Writes down every question. */
export function counting(tx: ReadTx, asked: string[]): ReadTx {
  const watched = (name: string, collection: object) =>
    new Proxy(collection, {
      get: (target, key) => {
        const method = Reflect.get(target, key) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          asked.push(`${name}.${String(key)}`);
          return method.apply(target, args);
        };
      },
    });
  return new Proxy(tx, { get: (target, key) => watched(String(key), Reflect.get(target, key)) });
}
