/**
 * Tells the service manager how the agent is, and that it gets on, only where it does.
 *
 *   timer ─▶ the journal takes a write ─▶ the host's socket answers ─▶ WATCHDOG=1
 *
 * A timer that runs shows no more than that the event loop turns. What stands still beside it is told in the log and in the status,
 * and nobody is told that all is well; then the service manager ends this process and starts another. Workloads do not notice.
 */
import type { ServiceManager } from '../host/systemd/service-manager.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';

export interface VitalSignsOptions {
  readonly manager: ServiceManager;
  readonly clock: Clock;
  readonly log: Log;
  /** One sentence or two. */
  readonly status: () => string;
  /** By name. Each resolves when that part has done something just now. */
  readonly signs: Readonly<Record<string, (signal: AbortSignal) => void | Promise<void>>>;
}

/** How often the status is told where nobody watches. */
const idleMs = 30_000;
/** Least time between two that are told because something changed. */
const settleMs = 1000;

export class VitalSigns {
  readonly #options: VitalSignsOptions;
  #told = '';
  #settling: Promise<void> | undefined;

  constructor(options: VitalSignsOptions) {
    this.#options = options;
  }

  /** All that can be asked of this process is there. */
  async ready(): Promise<void> {
    const { manager, status } = this.#options;
    this.#told = status();
    await manager.tell({ READY: '1', STATUS: this.#told });
  }

  async stopping(sentence: string): Promise<void> {
    await this.#options.manager.tell({ STOPPING: '1', STATUS: sentence });
  }

  /** Call it when the status may be another one. */
  changed(signal: AbortSignal): void {
    const { clock, log } = this.#options;
    this.#settling ??= clock
      .pause(settleMs, signal)
      .then(
        () => this.#tellStatus(),
        () => undefined,
      )
      .catch((err: unknown) => log.warn({ err }, 'the service manager could not be told'))
      .finally(() => {
        this.#settling = undefined;
      });
  }

  /** Resolves when the signal is aborted, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { manager, clock } = this.#options;
    if (!manager.listens) {
      return;
    }
    // Three times within the limit: one that comes late must not be the end.
    const everyMs = manager.watchdogMs === undefined ? idleMs : manager.watchdogMs / 3;
    while (!signal.aborted) {
      const standing = await this.#standing(AbortSignal.any([signal, AbortSignal.timeout(everyMs)]));
      if (standing.length === 0) {
        await manager.tell({ WATCHDOG: '1' });
        await this.#tellStatus();
      } else if (!signal.aborted) {
        await manager.tell({ STATUS: `Stands still: ${standing.join(', ')}.` });
      }
      await clock.pause(everyMs, signal).catch(() => undefined);
    }
  }

  async #tellStatus(): Promise<void> {
    const { manager, status } = this.#options;
    const now = status();
    if (now !== this.#told) {
      this.#told = now;
      await manager.tell({ STATUS: now });
    }
  }

  /** Names of the parts that did nothing in time. */
  async #standing(signal: AbortSignal): Promise<string[]> {
    const { signs, log } = this.#options;
    const over = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    over.catch(() => undefined);
    const looks = Object.entries(signs).map(async ([name, pulse]) => {
      try {
        await Promise.race([pulse(signal), over]);
        return [];
      } catch (err) {
        log.error({ check: name, err }, 'a part of this process stands still');
        return [name];
      }
    });
    return (await Promise.all(looks)).flat();
  }
}
