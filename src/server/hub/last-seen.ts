/** Keeps when nodes were last heard of, for people who ask; nothing is decided by it. */
import type { Store } from '../db/store.ts';

/** Nodes of one transaction: others wait for it. */
const batch = 50;

export interface Seen {
  readonly nodeId: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export async function keepLastSeen(store: Store, seen: readonly Seen[]): Promise<void> {
  for (let first = 0; first < seen.length; first += batch) {
    await store.write(async (tx) => {
      for (const { nodeId, at } of seen.slice(first, first + batch)) {
        const node = await tx.nodes.get(nodeId);
        const last_seen_at = new Date(at).toISOString();
        if (node && (node.last_seen_at ?? '') < last_seen_at) await tx.nodes.put({ ...node, last_seen_at });
      }
    });
  }
}
