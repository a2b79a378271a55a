/**
 * The last samples of each instance, in memory: enough to draw the last hour. A sample is not worth a write to the disk, and
 * after a restart the hosts send new ones.
 */
import type { RecordBody } from '../../contract/records.ts';

type Body = RecordBody<'metrics'>;
type Sample = Body['workloads'][number] & {
  readonly at: string;
  readonly interval_seconds: number;
  /** Its own cards; left out for none. */
  readonly gpus?: NonNullable<Body['gpus']>;
};

const maxSamples = 360;
/** Instances that are remembered; of more, those that were silent for longest are forgotten. */
const maxInstances = 10_000;

export class MetricsBoard {
  readonly #samples = new Map<string, Sample[]>();
  /** The last of each node, with when it came. */
  readonly #latest = new Map<string, { readonly body: Body; readonly cameAt: number }>();

  /** Under the node that sent them: nobody reports for the workloads of another. */
  keep(nodeId: string, body: Body, now: number): void {
    const { at, interval_seconds, workloads, gpus = [] } = body;
    this.#latest.set(nodeId, { body, cameAt: now });
    for (const sample of workloads) {
      const key = `${nodeId}/${sample.workload_id}`;
      const known = this.#samples.get(key) ?? [];
      const own = gpus.filter(({ workload_id }) => workload_id === sample.workload_id);
      known.push({ ...sample, at, interval_seconds, ...(own.length > 0 ? { gpus: own } : {}) });
      if (known.length > maxSamples) known.shift();
      // Behind the others, so that the first is the one that was silent for longest.
      this.#samples.delete(key);
      this.#samples.set(key, known);
    }
    while (this.#samples.size > maxInstances) this.#samples.delete(this.#samples.keys().next().value as string);
  }

  /** What nodes said last, of those that have said it within `ageMs`. */
  latest(now: number, ageMs: number): (readonly [nodeId: string, body: Body])[] {
    return [...this.#latest].flatMap(([node, { body, cameAt }]) =>
      now - cameAt <= ageMs ? [[node, body] as const] : [],
    );
  }

  /** Oldest first. */
  of(nodeId: string, instanceId: string): readonly Sample[] {
    return this.#samples.get(`${nodeId}/${instanceId}`) ?? [];
  }
}
