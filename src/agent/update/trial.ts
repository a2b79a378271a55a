/**
 * A new version proves itself: what it writes here keeps the guard of the host from going back.
 *
 *   on trial ── well: `alive` ──▶ still here and well after `stable_seconds`: `stable` ──▶ the guard commits
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../kit/clock.ts';
import { writeDurable } from '../../kit/durable.ts';
import type { Log } from '../../kit/log.ts';
import { readPending } from './guarded.ts';
import type { UpdatePlaces } from './places.ts';

export interface TrialOptions {
  readonly places: UpdatePlaces;
  readonly version: string;
  readonly stableSeconds: number;
  /** Ready, its engine seen, and its control plane has let it in or is away: away is no fault of the new version. */
  readonly isWell: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const lookMs = 500;

/** Resolves when this version is on trial no more. Never rejects: what keeps it from proving itself has it rolled back. */
export async function standTrial({ places, version, stableSeconds, ...options }: TrialOptions): Promise<void> {
  const { isWell, clock, log, signal } = options;
  let alive: { readonly nonce: string; readonly at: number } | undefined;
  let saidStable = false;
  while (!signal.aborted) {
    try {
      const pending = readPending(places);
      if (pending?.to !== version) {
        return;
      }
      const words = `${version} ${pending.nonce}\n`;
      const now = clock.monotonicMs();
      if (alive?.nonce !== pending.nonce && isWell()) {
        say(places, 'alive', words);
        alive = { nonce: pending.nonce, at: now };
        log.info({ version, from: pending.from, attempt: pending.attempts }, 'on trial, and well');
      } else if (alive && !saidStable && now - alive.at >= stableSeconds * 1000 && isWell()) {
        say(places, 'stable', words);
        saidStable = true;
        log.info({ version }, 'this version has proven itself');
      }
    } catch (err) {
      log.warn({ err, version }, 'it cannot be said how the trial goes');
    }
    await clock.pause(lookMs, signal).catch(() => undefined);
  }
}

function say({ staged }: UpdatePlaces, name: 'alive' | 'stable', words: string): void {
  mkdirSync(staged, { recursive: true, mode: 0o700 });
  writeDurable(join(staged, name), words, 0o600);
}
