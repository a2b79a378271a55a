/** `gpuaas apps instances logs` and `gpuaas jobs logs`: what a workload wrote, live or after it ended. */
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { StreamedEntry } from '../../contract/session-messages.ts';
import { untilInterrupted } from '../interruption.ts';
import { printJson, printLine, tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import { ofService } from '../words.ts';
import type { ControlPlaneClient, Query } from './client.ts';
import { followEvents } from './event-lines.ts';
import { instancePath } from './instance.ts';

export interface LogsOptions {
  readonly follow: boolean;
  readonly tail?: number;
  /** Of this service of a stack alone. */
  readonly service?: string;
  /** Read the log of this task of the instance instead. */
  readonly task?: string;
  readonly json: boolean;
}

export async function printInstanceLogs(
  client: ControlPlaneClient,
  id: string,
  { follow, tail, service, task, json }: LogsOptions,
): Promise<void> {
  await printLogs(client, `${instancePath(id)}/logs`, { follow, tail, service, task_id: task }, json);
}

/** Prints a log that the control plane streams, to its end. Returns why there is nothing of it, where that is no failure. */
export async function printLogs(
  client: ControlPlaneClient,
  path: string,
  query: Query,
  json: boolean,
): Promise<string | undefined> {
  const { signal, stopListening } = untilInterrupted();
  try {
    for await (const { type, data } of followEvents(client, path, query, { signal, json })) {
      const value: unknown = JSON.parse(data);
      if (type === 'end') {
        return endWith(value as LogEnd);
      }
      if (type === 'gap') {
        const { dropped } = value as { dropped: number | null };
        tell(`… ${dropped ?? 'some'} entries are missing here: nobody read them in time`);
      }
      for (const entry of type === 'entries' ? (value as StreamedEntry[]) : []) {
        if (json) printJson(entry);
        else printLine(ofService(entry.service, textOf(entry)));
      }
    }
  } catch (error) {
    // The reader has seen enough.
    if (!signal.aborted) throw error;
  } finally {
    stopListening();
  }
  return undefined;
}

/** Bytes that are no text are shown with a replacement character for each; `--json` has them whole. */
function textOf({ text, encoding }: StreamedEntry): string {
  return encoding === 'utf8' ? text : Buffer.from(text, 'base64').toString('utf8');
}

interface LogEnd {
  readonly failure: Failure | null;
  readonly notice?: string;
}

/** The host's own words. */
function endWith({ failure, notice }: LogEnd): string | undefined {
  if (failure) {
    throw new AgentError(failure.code, failure.detail as AgentError['detail']);
  }
  return notice;
}

/** The same of a job, with the notice beside the log. */
export async function printJobLogs(
  client: ControlPlaneClient,
  path: string,
  query: Query,
  json: boolean,
): Promise<void> {
  const notice = await printLogs(client, path, query, json);
  if (notice === undefined) return;
  if (json) tellJson({ type: 'log', message: notice });
  else tell(oneLine(notice));
}
