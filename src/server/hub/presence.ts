/** Tells the sink about nodes that did not come back in time. A short absence is nobody's business. */
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Store } from '../db/store.ts';
import type { RecordSink } from './record-sink.ts';

export interface PresenceOptions {
  readonly store: Store;
  readonly sink: RecordSink;
  readonly clock: Clock;
  readonly log: Log;
  readonly awaySeconds: number;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #absent = new Map<string, AbortController>();
  readonly #stopped = new AbortController();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Nobody is there yet: whoever of the nodes does not come is away. */
  async begin(): Promise<void> {
    const nodes = await this.#options.store.read((tx) => tx.nodes.list({ where: { status: 'enrolled' } }));
    for (const { id } of nodes) this.left(id);
  }

  came(nodeId: string): void {
    this.#absent.get(nodeId)?.abort();
    this.#absent.delete(nodeId);
  }

  left(nodeId: string): void {
    if (this.#absent.has(nodeId)) return;
    const absence = new AbortController();
    this.#absent.set(nodeId, absence);
    const { clock, awaySeconds } = this.#options;
    void clock.pause(awaySeconds * 1000, AbortSignal.any([absence.signal, this.#stopped.signal])).then(
      () => this.#tell(nodeId, absence.signal),
      () => undefined,
    );
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #tell(nodeId: string, back: AbortSignal): Promise<void> {
    const { store, sink, log } = this.#options;
    try {
      await store.write(async (tx) => {
        const node = await tx.nodes.get(nodeId);
        if (node && !back.aborted && !this.#stopped.signal.aborted) await sink.nodeAway(tx, node);
      });
    } catch (err) {
      log.error({ err, node: nodeId }, 'could not note that a node is away');
    }
  }
}
