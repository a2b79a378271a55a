/** Why nothing is told of an instance for a while: what it is doing, whether its host is there, and what came last. */
import { oneLine } from '../printable.ts';
import { ago } from '../words.ts';
import type { ControlPlaneClient } from './client.ts';
import type { Node } from './describe-node.ts';
import { type Instance, instancePath } from './instance.ts';

/** Most time between two looks. */
const longestMs = 5 * 60_000;

/** Calls `onQuiet` where nothing was heard for `firstMs`, then after twice as long, and so on, until it is stopped. */
export class QuietWatch {
  readonly #firstMs: number;
  readonly #onQuiet: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(firstMs: number, onQuiet: () => void) {
    this.#firstMs = firstMs;
    this.#onQuiet = onQuiet;
    this.heard();
  }

  heard(): void {
    this.#wait(this.#firstMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#onQuiet();
      this.#wait(Math.min(2 * ms, longestMs));
    }, ms);
  }
}

/** One line; `last` is what was told last, and `now` is in milliseconds since 1970. */
export async function whyQuiet(
  client: ControlPlaneClient,
  id: string,
  { last, now, signal }: { last: string; now: number; signal: AbortSignal },
): Promise<string> {
  const { state, state_since, summary, node_id } = await client.get<Instance>(instancePath(id), {}, signal);
  const node = node_id === null ? undefined : await client.get<Node>(`/api/v1/nodes/${node_id}`, {}, signal);
  const words = [`nothing new: it has been ${state} for ${ago(state_since, now)}`, nodeWords(node, now)];
  return oneLine(`${words.join('; ')}. ${last === '' ? summary : `Last: ${last}`}`);
}

function nodeWords(node: Node | undefined, now: number): string {
  if (node === undefined) return 'no node has it';
  if (node.connected) return 'its node is connected';
  return `its node is away${node.last_seen_at === null ? '' : `, last seen ${ago(node.last_seen_at, now)} ago`}`;
}
