/**
 * Carries out one container of a job: created, started, awaited, looked at when it has ended.
 *
 *   decide (on disk) ─▶ create ─▶ start ─▶ started (on disk) ─▶ wait ─▶ ended (on disk)
 *        ▲                                                                │
 *        └───────────────── its restart policy, or a check ◀──────────────┘
 *
 * Safe to take up anywhere in between: a container that runs is adopted, one that was created is started, one that has
 * ended is looked at. What has ended is never run again, and what is gone was not seen to its end: `step.lost`.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName } from '../contract/names.ts';
import { backoffDelay, pause } from '../kit/backoff.ts';
import { longPause } from '../kit/long-time.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { readExcerpt } from '../runtime/container-end.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { isEngineAway } from '../runtime/engine-away.ts';
import { createStep } from './create-step.ts';
import { followResults } from './follow-results.ts';
import { fullDiskHint } from './full-disk-hint.ts';
import type { Part } from './parts.ts';
import { readOnlyHint } from './read-only-hint.ts';
import { type ExposedPort, resolvePart } from './resolve-part.ts';
import { runScript } from './run-script.ts';
import { failureOf, type RunningJob } from './running-job.ts';
import { JobLetGo } from './running-jobs.ts';
import { type Exit, endOf, endTime, exitOf, mayRestart, restartsSoFar } from './step-end.ts';
import { watchByCommand } from './step-health.ts';
import { watchReadiness } from './step-ready.ts';
import { StepResults } from './step-results.ts';

const restartBackoff = { firstMs: 1000, maxMs: 60_000, factor: 2 };
const engineAgainMs = 1000;
const killedExitCode = 137;

/** Resolves when the step has ended, however; that is on disk then. Rejects with `JobLetGo` only. */
export async function runStep(job: RunningJob, part: Part): Promise<void> {
  try {
    for (;;) {
      const ended = await runOnce(job, part);
      if (!(await goesOn(job, part, ended))) return;
    }
  } catch (error) {
    if (error instanceof JobLetGo) throw error;
    job.ground.log.warn({ service: part.id, err: error }, 'step could not be carried out');
    await giveUp(job, part, error);
  }
}

/** From the decision to start to the end of the container; undefined where it was to end before it was started. */
async function runOnce(job: RunningJob, part: Part): Promise<ContainerFacts | undefined> {
  const { engine, log } = job.ground;
  const name = containerName(job.id, part.id);
  const before = job.step(part.id);
  const isResumed = before.state === 'running';
  if (!isResumed) {
    const fresh = { exit_code: null, signal: null, oom_killed: false, ready: false, ending: null } as const;
    job.updateStep(part.id, { ...fresh, state: 'running', attempts: before.attempts + 1, starting: true });
  }
  const ports = await ensureStarted(job, part, { isResumed });
  if (!ports) return undefined;
  const isOver = new AbortController();
  const wait = untilEnded(job, name);
  wait.catch(() => undefined);
  const facts = await engine.inspect(name, toItsEnd());
  const { started_at, attempts, starting } = job.step(part.id);
  if (facts && starting) {
    const startedAt = facts.startedAt ?? new Date().toISOString();
    const run = { container_id: facts.id, run_started_at: facts.startedAt, starting: false };
    job.updateStep(part.id, { ...run, started_at: started_at ?? startedAt });
    job.emit('step.started', `${part.id} has started.`, { step: part.id, attempt: attempts });
  }
  const companions = [
    ...[
      watchStop(job, part, name, isOver.signal),
      watchTime(job, part, { isNew: !isResumed && attempts === 1 }, isOver.signal),
    ],
    ...[watchHealth(job, part, ports, isOver.signal), readResults(job, part, name, isOver.signal)],
    ...[watchReturn(job, part, isOver.signal), ...(part.script ? [runScript(job, part, isOver.signal)] : [])],
  ].map((work) =>
    work.catch((error: unknown) => {
      if (!isOver.signal.aborted) log.warn({ service: part.id, err: error }, 'a step is not watched any more');
    }),
  );
  try {
    const ended = await wait;
    log.info({ service: part.id, exit_code: ended.exitCode }, 'step has ended');
    return ended;
  } finally {
    isOver.abort();
    await Promise.all(companions);
  }
}

/** Ports that it publishes, once its container was started; undefined where it is to end and was not. */
async function ensureStarted(
  job: RunningJob,
  part: Part,
  { isResumed }: { readonly isResumed: boolean },
): Promise<readonly ExposedPort[] | undefined> {
  const { engine, taskId } = job.ground;
  const name = containerName(job.id, part.id);
  const step = job.step(part.id);
  const resolved = resolvePart(part, job.values());
  const isFirst = !isResumed && step.attempts === 1;
  const found = isFirst ? undefined : await engine.inspect(name, toItsEnd());
  if (found && !job.isOurs(found)) throw new AgentError('name.conflict', { container: name, task: taskId });
  if (found?.status === 'running') return resolved.ports;
  if (found && wasStarted(found, isResumed ? step.run_started_at : found.startedAt)) return resolved.ports;
  if (isResumed && !step.starting) {
    if (!found) throw new AgentError('step.lost', { step: part.id, reason: `It is ${part.id}.` });
    return resolved.ports;
  }
  if (job.step(part.id).ending !== null) return undefined;
  await createStep(job, part, resolved, found);
  return resolved.ports;
}

/** True where it has run since the latest start that is known. */
function wasStarted({ status, startedAt }: ContainerFacts, known: string | null): boolean {
  return status !== 'created' && startedAt !== null && startedAt !== known;
}

/** Resolves with what the container is like when it has ended. An engine that is away says nothing about it. */
async function untilEnded(job: RunningJob, name: string): Promise<ContainerFacts> {
  const { engine } = job.ground;
  for (;;) {
    try {
      await engine.wait(name, toItsEnd());
      const facts = await engine.inspect(name, toItsEnd());
      if (!facts) throw new AgentError('step.lost', { container: name });
      if (facts.status !== 'running' && facts.status !== 'paused') return facts;
    } catch (error) {
      if (error instanceof AgentError && error.code === 'container.not_found') {
        throw new AgentError('step.lost', { container: name }, { cause: error });
      }
      if (!isEngineAway(error)) throw error;
      job.ground.jobs.running.assertHeld();
    }
    await pause(engineAgainMs);
  }
}

/** Stops the container as soon as that is wanted; the engine kills what does not end within the grace. */
async function watchStop(job: RunningJob, part: Part, name: string, isOver: AbortSignal): Promise<void> {
  const stop = job.stopOf(part.id);
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of [stop, isOver]) signal.addEventListener('abort', () => resolve(), { once: true });
  if (job.step(part.id).ending === null && !stop.aborted && !isOver.aborted) await promise;
  if (isOver.aborted) return;
  for (;;) {
    try {
      await job.ground.engine.stop(name, job.plan.stop_grace_seconds, toItsEnd());
      return;
    } catch (error) {
      if (isOver.aborted || !isEngineAway(error)) throw error;
    }
    await pause(engineAgainMs, isOver);
  }
}

/** Counted from its first start; the clock of the host is asked only for what passed before this process was there. */
async function watchTime(
  job: RunningJob,
  { id, timeout_seconds: seconds }: Part,
  { isNew }: { readonly isNew: boolean },
  isOver: AbortSignal,
): Promise<void> {
  if (seconds === undefined) return;
  const passed = isNew ? 0 : Math.max(0, Date.now() - (Date.parse(job.step(id).started_at ?? '') || Date.now()));
  await longPause(seconds * 1000 - passed, isOver);
  job.stop(id, 'timed_out');
}

async function watchHealth(
  job: RunningJob,
  part: Part,
  ports: readonly ExposedPort[],
  signal: AbortSignal,
): Promise<void> {
  const published = new Map(job.step(part.id).ports.map((port) => [port.container_port, port.host_port]));
  const isReady = (ready: boolean) => {
    if (!signal.aborted && job.step(part.id).ready !== ready) job.updateStep(part.id, { ready });
  };
  let open = part.healthcheck ? 2 : 1;
  const onReady = () => {
    open -= 1;
    if (open > 0) return;
    isReady(true);
    if (ports.length > 0 || part.healthcheck) job.emit('step.ready', `${part.id} is ready.`, { step: part.id });
  };
  const byPorts = watchReadiness(ports, {
    ...{ signal, onReady, hostPortOf: (port) => published.get(port) ?? port },
    onChange: (unhealthy) => {
      isReady(unhealthy === undefined);
      if (!unhealthy) return;
      const { port, answer, check } = unhealthy;
      job.emit('check.failed', `A check of ${part.id} does not pass any more.`, { step: part.id, port, answer });
      if (check.type === 'http' && check.restart_on_failure) job.stop(part.id, 'unhealthy');
    },
  });
  await Promise.all([byPorts, ...(part.healthcheck ? [askService(job, part, part.healthcheck, onReady, signal)] : [])]);
}

/** A service whose command does not pass any more is stopped; its policy says whether it begins again. */
async function askService(
  job: RunningJob,
  { id }: Part,
  { command }: NonNullable<Part['healthcheck']>,
  onReady: () => void,
  signal: AbortSignal,
): Promise<void> {
  await watchByCommand({
    ...{ engine: job.ground.engine, container: containerName(job.id, id), command, signal, onReady },
    wasReady: job.step(id).ready,
    onWait: (answer) => job.answers.set(id, answer),
    onUnhealthy: (answer) => {
      if (signal.aborted) return;
      job.emit('check.failed', `The health check of ${id} does not pass any more.`, { step: id, answer });
      job.stop(id, 'unhealthy');
    },
  });
}

/** A service with a health check that was begun again has as long to be ready as at first. */
async function watchReturn(job: RunningJob, part: Part, signal: AbortSignal): Promise<void> {
  const { id, ready_seconds: seconds, healthcheck } = part;
  if (seconds === undefined || !healthcheck || job.step(id).attempts < 2) return;
  const late = longPause(seconds * 1000, signal).then(() => 'late');
  late.catch(() => undefined);
  while (!job.step(id).ready) {
    if ((await Promise.race([job.changed(), late])) !== 'late') continue;
    job.stop(id, 'unhealthy');
    return;
  }
}

async function readResults(job: RunningJob, part: Part, name: string, isOver: AbortSignal): Promise<void> {
  if (part.results.length === 0) return;
  const results = new StepResults(part.results);
  job.results.set(part.id, results);
  // Its log is read to its end also where the container ends first, but not for ever.
  const limit = new AbortController();
  const soon = () => setTimeout(() => limit.abort(), lateLogMs).unref();
  isOver.addEventListener('abort', soon, { once: true });
  await followResults(job.ground.engine, name, results, limit.signal);
}
const lateLogMs = 60_000;

/** True where the step is started once more; otherwise its end is on disk. */
async function goesOn(job: RunningJob, part: Part, ended: ContainerFacts | undefined): Promise<boolean> {
  const name = containerName(job.id, part.id);
  const exit = exitOfStep(job, part, ended);
  const step = { ...job.step(part.id), ...exit };
  const restarts = restartsSoFar(part, step, ended);
  if (isUnhealthyAgain(part, step) || mayRestart(part, step, restarts)) {
    const unhealthy = step.unhealthy + (step.ending === 'unhealthy' ? 1 : 0);
    job.resumeStep(part.id);
    const retries = part.kind === 'service' ? { retries: restarts + 1 } : {};
    job.updateStep(part.id, { ...exit, state: 'waiting', ready: false, ending: null, unhealthy, ...retries });
    job.emit('step.restarted', `${part.id} has ended and is started again.`, { step: part.id, ...exit });
    await pause(backoffDelay(restartBackoff, restarts + 1), job.stopOf(part.id)).catch(() => undefined);
    if (job.step(part.id).ending === null) return true;
  }
  const isRead = ended && !part.script;
  const excerpt = isRead ? await readExcerpt(job.ground.engine, name, toItsEnd(), ended).catch(() => '') : '';
  const told = { excerpt, advice: readOnlyHint(job.plan, part, excerpt) ?? (await adviceOnDisk(job, exit)) };
  const { state, failure } = endOf(part, { ...step, ending: job.step(part.id).ending }, told);
  job.ground.jobs.scripts?.inPlaceOf(name)?.end();
  const results = job.results.get(part.id)?.all() ?? {};
  const ended_at = endTime(step, ended?.finishedAt ?? new Date().toISOString());
  const said = part.kind === 'check' ? { said: excerpt } : {};
  job.updateStep(part.id, { ...exit, state, failure, results, ended_at, ready: false, ...said });
  tellEnd(job, part.id);
  return false;
}

/** Of a script it is that of its last command: the container ends when it is told to. */
function exitOfStep(job: RunningJob, { id, script }: Part, ended: ContainerFacts | undefined): Exit {
  const exit = ended ? exitOf(ended) : { exit_code: null, signal: null, oom_killed: false };
  const { ending, commands = [] } = job.step(id);
  if (!script || ending !== 'served') return exit;
  const exit_code = commands.findLast((command) => command.exit_code !== null)?.exit_code ?? 0;
  // An engine may hear of that only when the container has ended as well.
  return { exit_code, signal: null, oom_killed: exit.oom_killed && exit_code === killedExitCode };
}

async function adviceOnDisk({ ground }: RunningJob, { exit_code }: Exit): Promise<string | undefined> {
  return exit_code === null || exit_code === 0 ? undefined : await fullDiskHint(ground.engine, toItsEnd());
}

/** A check has had it stopped, and allows another try. */
function isUnhealthyAgain({ expose }: Part, { ending, unhealthy }: ReturnType<RunningJob['step']>): boolean {
  const checks = expose.flatMap((each) => (each.kind === 'port' ? each.checks : []));
  const most = Math.max(0, ...checks.map((check) => (check.type === 'http' ? check.max_restarts : 0)));
  return ending === 'unhealthy' && unhealthy < most;
}

function tellEnd(job: RunningJob, id: string): void {
  const { state, exit_code, signal, oom_killed, failure } = job.step(id);
  const facts = { step: id, to: state, exit_code, signal, oom_killed, code: failure?.code ?? null };
  job.emit('step.ended', failure ? failure.message : `${id} is ${state}.`, facts);
}

/** What could not be carried out has failed, and nothing of it goes on. */
async function giveUp(job: RunningJob, part: Part, error: unknown): Promise<void> {
  const { engine } = job.ground;
  const name = containerName(job.id, part.id);
  const { state } = job.step(part.id);
  if (state === 'running') {
    await engine.stop(name, 0, toItsEnd()).catch((reason: unknown) => {
      job.ground.log.warn({ container: name, err: reason }, 'container of a failed step could not be stopped');
    });
  }
  const ended = new Date().toISOString();
  job.updateStep(part.id, { state: 'failed', failure: failureOf(error), ended_at: ended, ready: false });
  tellEnd(job, part.id);
}
