/** Remembers what the hub told it, in order. */
import type { EndedTask, NodeRecord, RecordSink } from '../../src/server/hub/record-sink.ts';

export interface RecordingSink extends RecordSink {
  readonly ended: EndedTask[];
  readonly records: (NodeRecord & { readonly node_id: string })[];
  /** `away node-1`, `back node-1` */
  readonly presence: string[];
}

export function recordingSink(): RecordingSink {
  const ended: EndedTask[] = [];
  const records: (NodeRecord & { readonly node_id: string })[] = [];
  const presence: string[] = [];
  return {
    ...{ ended, records, presence },
    taskEnded: async (_, task) => void ended.push(task),
    recorded: async (_, { id }, record) => void records.push({ ...record, node_id: id }),
    nodeAway: async (_, { id }) => void presence.push(`away ${id}`),
    nodeBack: async (_, { id }) => void presence.push(`back ${id}`),
  };
}
