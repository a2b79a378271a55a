/**
 * Looks after the proxy of a job while the job runs: begins it again where it has ended, and tells of what it has refused. While it is
 * away nothing of the job gets out.
 */
import { containerName, egressName } from '../contract/names.ts';
import { backoffDelay, pause } from '../kit/backoff.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { LogEntry } from '../runtime/engine.ts';
import { ensureEgress } from './ensure-egress.ts';
import { RefusedPlaces } from './refused-places.ts';
import type { RunningJob } from './running-job.ts';

const backoff = { firstMs: 250, maxMs: 30_000, factor: 2 };
/** One that has lived for so long had begun well. */
const wellMs = 30_000;
const lastReadMs = 5_000;

/** Resolves once `isOver` aborts and all that was refused before is told. Never rejects. */
export async function watchEgress(job: RunningJob, isOver: AbortSignal): Promise<void> {
  if (job.plan.network !== 'allow_list') return;
  const { log } = job.ground;
  const reader = new RefusalReader(job);
  for (let attempt = 1; !isOver.aborted; attempt += 1) {
    const began = performance.now();
    try {
      await job.ensureNetwork();
      await reader.follow(isOver);
      if (isOver.aborted) break;
      if (performance.now() - began > wellMs) attempt = 1;
      if (await ensureEgress(job)) {
        reader.beginAnew();
        job.emit('egress.restarted', 'The proxy of the job had ended and was begun again.', { attempt });
        log.warn({ attempt }, 'proxy of a job had ended, begun again');
      }
    } catch (err) {
      if (!isOver.aborted) log.warn({ err, attempt }, 'proxy of a job is not there');
    }
    await pause(backoffDelay(backoff, attempt), isOver).catch(() => undefined);
  }
  await reader
    .readRest()
    .catch((err: unknown) => log.warn({ err }, 'what a proxy has refused was not read to its end'));
  reader.end();
}

/** Reads the log of the proxy, on from where an earlier life of the agent was. */
class RefusalReader {
  readonly #job: RunningJob;
  readonly #places: RefusedPlaces;
  readonly #name: string;

  constructor(job: RunningJob) {
    this.#job = job;
    this.#name = containerName(job.id, egressName);
    this.#places = new RefusedPlaces((message, values) => job.emit('egress.refused', message, values));
  }

  /** Resolves when the proxy has ended. */
  async follow(signal: AbortSignal): Promise<void> {
    await this.#read(true, signal);
  }

  async readRest(): Promise<void> {
    await this.#read(false, AbortSignal.any([toItsEnd(), AbortSignal.timeout(lastReadMs)]));
  }

  /** Another container has another log. */
  beginAnew(): void {
    const { egress_cursor: cursor } = this.#job.record;
    if (cursor !== undefined) this.#job.update({ egress_cursor: undefined });
  }

  end(): void {
    this.#places.end();
  }

  async #read(follow: boolean, signal: AbortSignal): Promise<void> {
    const { egress_cursor: cursor } = this.#job.record;
    for await (const entry of this.#job.ground.engine.logs(this.#name, { follow, cursor, signal })) this.#take(entry);
  }

  #take({ data, channel, cursor }: LogEntry): void {
    const refused = channel === 'stdout' ? this.#places.read(data.toString('utf8')) : false;
    // Written down with what was told only: what is read twice after a restart was not told.
    if (refused) this.#job.update({ egress_cursor: cursor });
  }
}
