/** Forgets what nobody will ask for again: answers that can no longer be repeated, old events, join tokens. */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Store } from './db/store.ts';

const everyMs = 10 * 60 * 1000;
const eventsKeptMs = 90 * 24 * 60 * 60 * 1000;
const joinTokensKeptMs = 7 * 24 * 60 * 60 * 1000;
/** Entities of one transaction: others wait for it. */
const batch = 500;

interface Parts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** Sweeps now and then until it is stopped. What goes wrong is told and tried again. */
export async function keepSweeping({ store, clock, log }: Parts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sweep(store, clock.wallMs()).catch((err) => log.error({ err }, 'could not sweep the store'));
    await clock.pause(everyMs, signal).catch(() => undefined);
  }
}

export async function sweep(store: Store, now: number): Promise<void> {
  const timeOf = (ms: number) => new Date(ms).toISOString();
  await store.write((tx) => tx.events.forgetBefore(timeOf(now - eventsKeptMs)));
  await sweepOf(store, 'idempotent_answers', timeOf(now));
  await sweepOf(store, 'join_tokens', timeOf(now - joinTokensKeptMs));
}

async function sweepOf(store: Store, name: 'idempotent_answers' | 'join_tokens', before: string): Promise<void> {
  let swept = batch;
  while (swept === batch) {
    swept = await store.write(async (tx) => {
      const old = await tx[name].list({ below: { expires_at: before }, limit: batch });
      for (const { id } of old) {
        await tx[name].delete(id);
      }
      return old.length;
    });
  }
}
