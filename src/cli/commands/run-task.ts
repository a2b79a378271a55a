/**
 * `node-agent run-task FILE`: carries out one task on this host with no control plane.
 *
 * By the daemon where one runs, in turn with its other tasks; else by this process, with the same dispatcher, policy and
 * gate, and under the daemon's lock where it changes the host. The result is the last line of stdout; what happens on the way goes to stderr. Interrupting it cancels the task, which takes away
 * what it made.
 */
import { createHash, randomUUID } from 'node:crypto';
import { changesHost, envelopeOf, isBare } from '../../agent/bare-task.ts';
import { type AgentConfig, hostPolicyOf, loadConfig } from '../../agent/config.ts';
import { Dispatcher } from '../../agent/dispatch.ts';
import { openGpuLedger } from '../../agent/host-gpus.ts';
import { openHostJobs, scriptLogFolder } from '../../agent/host-jobs.ts';
import { unsealWithKeyOf } from '../../agent/identity/wrapping-key.ts';
import { openJournal } from '../../agent/journal/open-journal.ts';
import { assertOwn, lockState } from '../../agent/journal/state-lock.ts';
import { readDocument } from '../../agent/read-document.ts';
import { taskLogFolder } from '../../agent/task-log.ts';
import { manifestTrust } from '../../agent/trust/trust-files.ts';
import { AgentError } from '../../contract/failures.ts';
import { labels } from '../../contract/names.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import { isLaunch } from '../../contract/tasks.ts';
import { judge, type PathError } from '../../contract/validate.ts';
import type { WorkloadEvent } from '../../contract/workload-output.ts';
import type { JobMeans } from '../../jobs/job-means.ts';
import { createLog } from '../../kit/log.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import { openStacks } from '../../runtime/compose/open-stacks.ts';
import { type ContainerEngine, PullCredential } from '../../runtime/engine.ts';
import { fencingOf } from '../../tasks/fencing.ts';
import { type EngineAccess, openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, tell, tellFailure, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import { runByDaemon } from '../run-by-daemon.ts';

export interface RunTaskOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Seconds to wait for another node-agent process to end. */
  readonly wait: number;
  /** File with the credential for the task's image: see `PullCredential`. */
  readonly pullCredential?: string;
}

export async function runTask(file: string, options: RunTaskOptions): Promise<number> {
  const loaded = await loadConfig(options.config, process.env);
  const policy = await hostPolicyOf(loaded);
  const document = await readDocument(file, { mayBeQuoted: true });
  const credential = await readCredential(options.pullCredential);
  const voice = options.json ? forPrograms : forPeople;
  const interruption = listenForInterruption(voice);
  try {
    const result = await carryOut(
      document,
      { ...options, configFile: loaded.file, config: loaded.config, policy, credential, voice },
      interruption,
    );
    printJson(result);
    if (result.failure && !options.json) {
      tellFailure(result.status, result.failure);
    }
    return exitCodeOf(result);
  } finally {
    interruption.stopListening();
  }
}

interface Run {
  readonly configFile: string;
  readonly config: AgentConfig;
  readonly policy: HostPolicy;
  readonly credential: PullCredential | undefined;
  readonly voice: Voice;
  readonly wait: number;
}

async function carryOut(document: unknown, run: Run, { signal: cancel }: Interruption): Promise<TaskResult> {
  const { config, policy, credential, voice, wait } = run;
  const agent = await agentIfThere(config);
  if (agent) {
    return await runByDaemon(agent, document, { credential, cancel, onEvent: voice.event });
  }
  assertOwn(config.state_dir);
  const lock = changesHost(document)
    ? await lockState(config.state_dir, {
        ...{ owner: 'node-agent run-task', waitMs: wait * 1000, signal: cancel },
        onWait: (holder) => voice.notice('run.waiting', `waiting for ${holder}, ${wait} s at most`),
      })
    : undefined;
  try {
    // What a gate of our own refuses is in the result already.
    const log = createLog({ level: 'error' });
    const journal = lock && isAboutJob(document) ? openJournal({ stateDir: config.state_dir }) : undefined;
    const access = await openEngine(config, policy, log, { lookOnly: lock === undefined });
    try {
      const dispatcher = openDispatcher(
        config,
        openHostJobs({
          journal,
          fetching: { policy, log },
          trust: manifestTrust(run.configFile),
          scriptLogs: scriptLogFolder(config),
        }),
        policy,
        access,
        credential,
      );
      const envelope = await envelopeFor(document, policy, access.engine, cancel);
      return await dispatcher.run(envelope, { cancel, onEvent: voice.event });
    } finally {
      await access.close();
      journal?.close();
    }
  } finally {
    lock?.release();
  }
}

function openDispatcher(
  config: AgentConfig,
  jobs: JobMeans,
  policy: HostPolicy,
  { engine, socketPath }: EngineAccess,
  credential: PullCredential | undefined,
): Dispatcher {
  const stacks = openStacks({ socketPath, stateDir: config.state_dir, folders: config.stacks.plugin_folders });
  return new Dispatcher({
    ...{ engine, stacks, policy, gpus: openGpuLedger({ engine, policy }), jobs },
    unseal: (jwe) => unsealWithKeyOf(config.state_dir, jwe),
    pullCredential: async () => credential,
    now: Date.now,
    taskLogs: {
      folder: taskLogFolder(config),
      level: config.log_level,
      maxBytes: config.task_logs.max_size_mib * 2 ** 20,
      maxTasks: config.task_logs.max_tasks,
    },
  });
}

/** From a file, so that it is in no argument list and no environment. Kept in memory, handed to the engine per pull. */
async function readCredential(file: string | undefined): Promise<PullCredential | undefined> {
  if (file === undefined) {
    return undefined;
  }
  const judged = judge(PullCredential, await readDocument(file));
  const errors = judged.ok ? checkCredential(judged.value) : judged.errors;
  if (!judged.ok || errors.length > 0) {
    const detail = { file, errors: errors.map((error) => ({ ...error })) };
    throw new AgentError('file.unusable', { reason: `${file} is no pull credential.`, ...detail });
  }
  return judged.value;
}

function checkCredential({ bearer, username, password }: PullCredential): PathError[] {
  const isWhole =
    bearer === undefined
      ? username !== undefined && password !== undefined
      : username === undefined && password === undefined;
  return isWhole ? [] : [{ path: '', code: 'keys', message: 'must be {username, password} or {bearer}' }];
}

/** A whole envelope as it stands; a bare `{type, params}` as the newest task for its workload on this host. */
async function envelopeFor(
  document: unknown,
  policy: HostPolicy,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<unknown> {
  if (!isBare(document)) {
    return document;
  }
  const taskId = taskIdOf(document.type, document.params);
  return await envelopeOf(document, { policy, taskId, fencing: (id) => nextFencing(id, engine, signal) });
}

/** What has become of a job is kept, so that a run of it that was killed can be taken up. */
function isAboutJob(document: unknown): boolean {
  return /^workload\.job_/.test(String((document as { readonly type?: unknown }).type));
}

/** The same launch is the same task, so that it takes up, or takes away, what a killed run of it had begun. */
function taskIdOf(type: unknown, params: unknown): string {
  return typeof type === 'string' && isLaunch(type) && params !== undefined
    ? `launch-${createHash('sha256').update(JSON.stringify(params)).digest('hex').slice(0, 32)}`
    : randomUUID();
}

async function nextFencing(workloadId: string, engine: ContainerEngine, signal: AbortSignal): Promise<number> {
  try {
    const seen = (await engine.list(signal)).filter((container) => container.labels[labels.instance] === workloadId);
    return Math.max(0, ...seen.map(fencingOf)) + 1;
  } catch (error) {
    // The dispatcher meets the same trouble and reports it as the result of the task.
    if (error instanceof AgentError) {
      return 1;
    }
    throw error;
  }
}

/** How the run talks while the task is on its way: each line to stderr. */
interface Voice {
  event(event: WorkloadEvent): void;
  /** Something about the run itself, in the form of an event. */
  notice(type: string, message: string): void;
}

const forPeople: Voice = {
  event: ({ time, type, phase, message }) => {
    const label = type === 'phase.entered' || phase === null ? '' : `${phase}: `;
    tell(`${time.slice(11, 19)}  ${oneLine(label + message)}`);
  },
  notice: (_type, message) => tell(oneLine(message)),
};

const forPrograms: Voice = {
  event: tellJson,
  notice: (type, message) => tellJson({ time: new Date().toISOString(), type, phase: null, message, values: {} }),
};

interface Interruption {
  /** Aborts on the first SIGINT or SIGTERM; a second one ends the process as usual. */
  readonly signal: AbortSignal;
  stopListening(): void;
}

function listenForInterruption(voice: Voice): Interruption {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    voice.notice('run.cancelling', 'cancelling; what was made is being taken away');
    controller.abort(new AgentError('task.cancelled', { reason: `It was ended by ${name}.` }));
  };
  const names = ['SIGINT', 'SIGTERM'] as const;
  for (const name of names) {
    process.once(name, interrupt);
  }
  return {
    signal: controller.signal,
    stopListening: () => {
      for (const name of names) {
        process.off(name, interrupt);
      }
    },
  };
}

function exitCodeOf({ status }: TaskResult): number {
  return status === 'succeeded' ? exitCodes.ok : status === 'rejected' ? exitCodes.rejected : exitCodes.failed;
}
