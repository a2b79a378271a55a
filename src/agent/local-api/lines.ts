/** Lines of the answers on the agent's socket that come piece by piece. The last one is `{failure}` where one broke off. */
import type { StreamedEntry } from '../../contract/session-messages.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadEvent } from '../../contract/workload-output.ts';
import type { LogItem } from '../logs/log-source.ts';
import { streamedEntry } from '../logs/streamed-entry.ts';

export type LogLine =
  | { readonly cursor: string; readonly entry: StreamedEntry }
  | { readonly gap: { readonly dropped: number | null } };

export type RunLine =
  | { readonly task_id: string }
  | { readonly event: WorkloadEvent }
  | { readonly result: TaskResult };

/** A log as it goes over the socket. */
export async function* linesOf(items: AsyncIterable<LogItem>): AsyncGenerator<LogLine, void, undefined> {
  for await (const item of items) {
    yield 'gap' in item ? { gap: { dropped: item.dropped } } : { cursor: item.cursor, entry: streamedEntry(item) };
  }
}
