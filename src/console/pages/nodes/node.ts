/** A node as the pages show it. */
import type { NodeView } from '../../../server/resources/nodes.ts';

export type Node = NodeView;

/** `8 × NVIDIA H200`, one entry for each kind. */
export function cardKinds({ runtime, inventory }: Pick<Node, 'runtime' | 'inventory'>): string[] {
  const counts = new Map<string, number>();
  for (const { name } of (runtime ?? inventory?.runtime)?.gpus ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} × ${name}`);
}
