/** A node as the pages show it. */
import type { NodeView } from '../../../server/resources/nodes.ts';

interface Readiness {
  readonly state: 'ready' | 'not_ready' | 'unknown';
  readonly reasons: readonly string[];
}

interface DriftItem {
  readonly what: string;
  readonly expected: string;
  readonly found: string;
  readonly remedy: string;
}

export type Node = NodeView & {
  readonly readiness: Readiness;
  readonly probed_at: string | null;
  readonly drift: readonly DriftItem[];
};

/** What the control plane does not say of a node yet is made of what the host said. */
export function asNode(view: NodeView & Partial<Node>): Node {
  const { runtime, connected } = view;
  const reasons = connected ? (runtime?.reasons ?? []) : ['It is not connected.', ...(runtime?.reasons ?? [])];
  const state = !runtime || !connected ? 'unknown' : runtime.ready ? 'ready' : 'not_ready';
  const said = { readiness: { state, reasons }, probed_at: runtime?.probed_at ?? null, drift: [] } as const;
  return { ...said, ...view };
}

/** `8 × NVIDIA H200`, one entry for each kind. */
export function cardKinds({ runtime, inventory }: Pick<Node, 'runtime' | 'inventory'>): string[] {
  const counts = new Map<string, number>();
  for (const { name } of (runtime ?? inventory?.runtime)?.gpus ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} × ${name}`);
}
