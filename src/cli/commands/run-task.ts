/**
 * `node-agent run-task FILE`: carries out one task on this host with no control plane.
 *
 * The same dispatcher, policy and gate as in the daemon, under the daemon's lock. The result is the last line of stdout;
 * what happens on the way goes to stderr. Interrupting it cancels the task, which takes away what it made.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { type AgentConfig, hostPolicyOf, loadConfig } from '../../agent/config.ts';
import { Dispatcher } from '../../agent/dispatch.ts';
import { openWrappingKey } from '../../agent/identity.ts';
import { lockState } from '../../agent/journal/state-lock.ts';
import { AgentError } from '../../contract/failures.ts';
import { containerName } from '../../contract/names.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import { isTaskType, type TaskType, taskSchemas } from '../../contract/tasks.ts';
import { judge } from '../../contract/validate.ts';
import type { WorkloadEvent } from '../../contract/workload-output.ts';
import { createLog } from '../../kit/log.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import { type ContainerEngine, PullCredential } from '../../runtime/engine.ts';
import { fencingOf } from '../../tasks/fencing.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, tell } from '../output.ts';

export interface RunTaskOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Seconds to wait for another node-agent process to end. */
  readonly wait: number;
  /** File with the credential for the task's image: see `PullCredential`. */
  readonly pullCredential?: string;
}

export async function runTask(file: string, options: RunTaskOptions): Promise<number> {
  const { json, wait } = options;
  const { config } = await loadConfig(options.config, process.env);
  const policy = await hostPolicyOf(config);
  const document = await readDocument(file);
  const credential = await readCredential(options.pullCredential);
  const cancel = cancelOnSignal();

  const lock = await lockState(config.state_dir, {
    ...{ owner: 'node-agent run-task', waitMs: wait * 1000, signal: cancel },
    onWait: (holder) => tell(`waiting for ${holder}`),
  });
  const log = createLog({ level: json ? 'error' : 'warn' });
  const access = await openEngine(config, policy, log);
  try {
    const dispatcher = await openDispatcher(config, policy, access.engine, credential);
    const envelope = await envelopeOf(document, policy, access.engine, cancel);
    const result = await dispatcher.run(envelope, { cancel, onEvent: json ? tellEventJson : tellEvent });
    printJson(result);
    return exitCodeOf(result);
  } finally {
    await access.close();
    lock.release();
  }
}

async function openDispatcher(
  config: AgentConfig,
  policy: HostPolicy,
  engine: ContainerEngine,
  credential: PullCredential | undefined,
): Promise<Dispatcher> {
  const key = await openWrappingKey(config.state_dir);
  return new Dispatcher({
    ...{ engine, policy, unseal: key.unseal },
    pullCredential: async () => credential,
    now: Date.now,
    taskLogs: {
      folder: join(config.state_dir, 'task-logs'),
      level: config.log_level,
      maxBytes: config.task_logs.max_size_mib * 2 ** 20,
      maxTasks: config.task_logs.max_tasks,
    },
  });
}

/** Largest task file that is read. The wire has the same limit. */
const maxDocumentBytes = 2 ** 20;

async function readDocument(file: string): Promise<unknown> {
  const content = await readBounded(file);
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new AgentError(
      'task.invalid',
      { reason: `${file} is not JSON: ${(error as Error).message}.` },
      { cause: error },
    );
  }
}

/** Reads no more than the limit, also from a pipe or a device that never ends. */
async function readBounded(file: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
      size += (chunk as Buffer).length;
      if (size > maxDocumentBytes) {
        throw new AgentError('task.invalid', { reason: `${file} is larger than ${maxDocumentBytes} bytes.` });
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof AgentError) {
      throw error;
    }
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError('task.invalid', { reason: `${file} cannot be read: ${code}.` }, { cause: error });
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** From a file, so that it is in no argument list and no environment. Kept in memory, handed to the engine per pull. */
async function readCredential(file: string | undefined): Promise<PullCredential | undefined> {
  if (file === undefined) {
    return undefined;
  }
  const judged = judge(PullCredential, await readDocument(file));
  if (!judged.ok) {
    const reason = judged.errors.map(({ path, message }) => `${path || '/'} ${message}`).join('; ');
    throw new AgentError('task.invalid', { reason: `${file}: ${reason}.` });
  }
  return judged.value;
}

/** A whole envelope as it stands; a bare `{type, params}` as the newest task for its workload on this host. */
async function envelopeOf(
  document: unknown,
  policy: HostPolicy,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<unknown> {
  if (!isBare(document)) {
    return document;
  }
  const { type, params } = document;
  const known = typeof type === 'string' && isTaskType(type);
  const workloadId = known ? workloadOf(type, params) : undefined;
  const day = 24 * 3600;
  return {
    ...{ task_id: randomUUID(), schema_version: known ? taskSchemas[type].version : 1 },
    ...{ node_id: policy.node_id, allocation_id: policy.allocation.id, workload_id: workloadId ?? 'host', attempt: 1 },
    fencing: workloadId === undefined ? 0 : await nextFencing(workloadId, engine, signal),
    deadline_seconds: day,
    issued_at: new Date().toISOString(),
    not_after: new Date(Date.now() + day * 1000).toISOString(),
    trace_id: '',
    // What the file says goes before what is filled in, and the dispatcher refuses what it does not know.
    ...document,
  };
}

/** The workload of params that are valid; others are the dispatcher's to refuse, with nothing asked of the engine. */
function workloadOf(type: TaskType, params: unknown): string | undefined {
  const judged = judge(taskSchemas[type].params, params);
  return judged.ok && 'identity' in judged.value ? judged.value.identity.app_instance_id : undefined;
}

interface BareTask {
  readonly type?: unknown;
  readonly params?: unknown;
}

function isBare(document: unknown): document is BareTask {
  return typeof document === 'object' && document !== null && !Array.isArray(document) && !('task_id' in document);
}

async function nextFencing(workloadId: string, engine: ContainerEngine, signal: AbortSignal): Promise<number> {
  try {
    const container = await engine.inspect(containerName(workloadId), signal);
    return container ? fencingOf(container) + 1 : 1;
  } catch (error) {
    // The dispatcher meets the same trouble and reports it as the result of the task.
    if (error instanceof AgentError) {
      return 1;
    }
    throw error;
  }
}

/** Aborts on the first SIGINT or SIGTERM; a second one ends the process as usual. */
function cancelOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      tell('cancelling; what was made is being taken away');
      controller.abort(new AgentError('task.cancelled', { reason: `It was ended by ${name}.` }));
    });
  }
  return controller.signal;
}

function tellEvent({ time, type, phase, message }: WorkloadEvent): void {
  const label = type === 'phase.entered' ? '' : `${phase ?? ''}: `;
  tell(`${time.slice(11, 19)}  ${label}${message}`);
}

function tellEventJson(event: WorkloadEvent): void {
  tell(JSON.stringify(event));
}

function exitCodeOf({ status, failure }: TaskResult): number {
  if (failure) {
    tell(`${status}: ${failure.message} [${failure.code}]\nhint: ${failure.hint}`);
  }
  return status === 'succeeded' ? exitCodes.ok : status === 'rejected' ? exitCodes.rejected : exitCodes.failed;
}
