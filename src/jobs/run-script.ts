/**
 * Carries out the commands of a step, one after another, in its container, which waits for them.
 *
 *   running (on disk) ─▶ exec made ─▶ its name (on disk) ─▶ started ─▶ ended (on disk) ─▶ next
 *                                            │
 *               next life of the agent ──────┴─▶ joined by its name, whether it runs or has ended
 *
 * The first that fails ends the batch. No command is ever run twice: an engine starts an exec once only, so one that was named is
 * joined, and where nothing tells how it ended it is `step.lost`. A transfer that was cut short is done again. Once all is done the
 * container is told to end.
 */
import { bounds, cutText } from '../contract/bounds.ts';
import type { CommandReport, ExeCommand } from '../contract/exe-script.ts';
import { AgentError, type Failure } from '../contract/failures.ts';
import { containerName } from '../contract/names.ts';
import { redactText } from '../kit/log.ts';
import { readTransfer } from '../policy/script-transfers.ts';
import type { ExecResult } from '../runtime/engine.ts';
import { CommandOutput, fitting } from './command-output.ts';
import { commandWords, wasStopped } from './command-reports.ts';
import type { Part } from './parts.ts';
import { failureOf, type RunningJob } from './running-job.ts';
import { JobLetGo } from './running-jobs.ts';
import type { ScriptLog } from './script-log.ts';
import { carryOutTransfer } from './script-transfer.ts';

/** How a command has ended. */
interface Ended {
  /** It was told to. */
  readonly isStopped?: boolean;
  readonly exitCode: number | null;
  readonly output?: CommandOutput;
  readonly failure: Failure | null;
}

/** The engine's own word for a command whose output was cut off, and that of a program which may not be run. */
const unknownExitCode = 126;
const progressMs = 1000;
const lateMs = 10_000;

/**
 * Resolves when nothing of the batch is under way any more: all of it has ended, the step is to end, or its container has ended.
 * Rejects with `JobLetGo` only.
 */
export async function runScript(job: RunningJob, part: Part, isOver: AbortSignal): Promise<void> {
  const { script = [], id } = part;
  const log = job.ground.jobs.scripts?.open(job.id, id, job.plan.log_limits);
  const signal = AbortSignal.any([isOver, job.stopOf(id)]);
  // What a command says is read to its end also where the container ends first, but not for ever.
  const late = new AbortController();
  isOver.addEventListener('abort', () => setTimeout(() => late.abort(isOver.reason), lateMs).unref(), { once: true });
  for (const [index, command] of script.entries()) {
    const known = job.step(id).commands?.[index]?.state;
    if (known === 'succeeded') continue;
    if (known === 'failed' || signal.aborted || job.step(id).ending !== null) break;
    const at = { job, part, index, command, log, signal, late: late.signal };
    if (known !== 'running') begin(at);
    if (command.terminate) break;
    const ended = await carryOut(at);
    if (!ended) return;
    end(at, ended);
    if (ended.failure) break;
  }
  if (!isOver.aborted) job.stop(id, 'served');
}

interface At {
  readonly job: RunningJob;
  readonly part: Part;
  readonly index: number;
  readonly command: ExeCommand;
  readonly log: ScriptLog | undefined;
  /** Aborts when the step is to end, or its container has ended. */
  readonly signal: AbortSignal;
  /** Aborts a while after its container has ended. */
  readonly late: AbortSignal;
}

function begin({ job, part: { id }, index, command, log }: At): void {
  change(job, id, index, { state: 'running' }, { index, exec: null, began_at: Date.now() });
  const words = commandWords(command);
  say(job, id, log, `--- command ${index}: ${words}\n`);
  job.emit('command.started', `${id}: command ${index} has begun: ${words}`, { step: id, command: index });
}

/** Undefined where its container has ended under it, or is to end: what it is then is judged with that. */
async function carryOut(at: At): Promise<Ended | undefined> {
  const { command, signal } = at;
  try {
    if (command.run) return await run(at, command.run);
    if (command.transfer) return await transfer(at, command.transfer);
    // The container is made and runs.
    return { exitCode: null, failure: null };
  } catch (error) {
    if (error instanceof JobLetGo) throw error;
    if (signal.aborted || isContainerEnd(error)) return undefined;
    return { exitCode: null, failure: described(at, failureOf(error)) };
  }
}

function isContainerEnd(error: unknown): boolean {
  return (
    error instanceof AgentError &&
    ['container.exited', 'container.oom_killed', 'container.not_found'].includes(error.code)
  );
}

async function run(at: At, { entry_point: program, args = [], env }: NonNullable<ExeCommand['run']>): Promise<Ended> {
  const { job, part, index, log, late: signal } = at;
  const { engine } = job.ground;
  const name = containerName(job.id, part.id);
  const output = new CommandOutput();
  const join = job.step(part.id).at_work?.exec ?? undefined;
  if (join !== undefined) say(job, part.id, log, '--- what it said while the agent was away is not known\n');
  let result: ExecResult;
  try {
    result = await engine.exec(name, [program, ...args], {
      ...{ signal, env, join },
      onCreated: (exec) => {
        const known = job.step(part.id).at_work;
        job.updateStep(part.id, { at_work: { index, began_at: known?.began_at ?? Date.now(), exec } });
      },
      onOutput: (channel, text) => {
        output.push(channel, text);
        write(job, part.id, log, channel, text);
      },
    });
  } catch (error) {
    // What it has said is told, however it has ended.
    if (join === undefined && !(error instanceof JobLetGo)) {
      change(job, part.id, index, output.captured(), job.step(part.id).at_work ?? null);
    }
    const isForgotten = join !== undefined && error instanceof AgentError && error.code === 'engine.failed';
    throw isForgotten ? lost(at, error) : error;
  }
  const { exitCode, adopted } = result;
  if (adopted && exitCode === unknownExitCode) throw lost(at);
  const seen = join === undefined ? { output } : {};
  const { ending } = job.step(part.id);
  if (ending !== null) return { isStopped: true, exitCode, ...seen, failure: null };
  if (exitCode === 0) return { exitCode, ...seen, failure: null };
  const detail = { ...factsOf(at), exit_code: exitCode, excerpt: output.excerpt(bounds.message) };
  const reason = `It is ${sentence(at)}, which ended with ${exitCode}.`;
  return { exitCode, ...seen, failure: new AgentError('command.failed', { reason, ...detail }).toFailure() };
}

function lost(at: At, cause?: unknown): AgentError {
  const reason = `It is ${sentence(at)}, whose end nobody has seen.`;
  return new AgentError('step.lost', { ...factsOf(at), reason }, { cause });
}

async function transfer(at: At, wanted: NonNullable<ExeCommand['transfer']>): Promise<Ended> {
  const { job, part, index, signal, log } = at;
  const read = readTransfer(wanted, part, job.plan);
  if (!read.ok) throw new AgentError('task.invalid', { errors: read.errors.map((error) => ({ ...error })) });
  let told = Date.now();
  const { bytes } = await carryOutTransfer(job, part, read.transfer, {
    ...{ index, signal },
    onBytes: (have, of) => {
      if (Date.now() - told < progressMs) return;
      told = Date.now();
      const values = { step: part.id, command: index, bytes: have, bytes_total: of ?? null };
      job.emit('transfer.progress', `${part.id}: command ${index}: ${have} of ${of ?? 'unknown'} bytes`, values);
    },
  });
  say(job, part.id, log, `--- ${bytes} bytes\n`);
  return { exitCode: null, failure: null };
}

/** What went wrong with a transfer, or with the engine, as the failure of the command that it was. */
function described(at: At, failure: Failure): Failure {
  const detail = failure.detail as Readonly<Record<string, unknown>>;
  const own = ['step.lost', 'disk.full', 'engine.unavailable', 'engine.timed_out'];
  if (own.includes(failure.code)) return { ...failure, detail: { ...detail, ...factsOf(at) } };
  const reason = `It is ${sentence(at)}. ${failure.message}`;
  return new AgentError('command.failed', { ...detail, ...factsOf(at), code: failure.code, reason }).toFailure();
}

function sentence({ index, command }: At): string {
  return `command ${index}, ${cutText(commandWords(command), bounds.word)}`;
}

function factsOf({ part, index, command }: At) {
  return { step: part.id, index, command: commandWords(command) };
}

function end(at: At, { isStopped = false, exitCode, output, failure }: Ended): void {
  const { job, part, index, log } = at;
  const began = job.step(part.id).at_work?.began_at ?? Date.now();
  const ended: Partial<CommandReport> = {
    ...{ state: failure || isStopped ? 'failed' : 'succeeded', exit_code: exitCode },
    ...{ message: isStopped ? wasStopped : failure && cutText(redactText(failure.message), bounds.message / 2) },
    duration_ms: Math.max(0, Date.now() - began),
    ...output?.captured(),
  };
  change(job, part.id, index, ended, null, failure ? { command_failure: failure } : {});
  if (exitCode !== null && exitCode !== 0) say(job, part.id, log, `--- command ${index} ended with ${exitCode}\n`);
  else if (failure) say(job, part.id, log, `--- command ${index} failed: ${failure.message}\n`);
  const values = { step: part.id, command: index, exit_code: exitCode, code: failure?.code ?? null };
  const how = failure || isStopped ? 'failed' : 'succeeded';
  job.emit('command.ended', `${part.id}: command ${index} has ${how}.`, { ...values, to: how });
}

type StepChange = Parameters<RunningJob['updateStep']>[1];

function change(
  job: RunningJob,
  id: string,
  index: number,
  to: Partial<CommandReport>,
  atWork: NonNullable<StepChange['at_work']> | null,
  others: StepChange = {},
): void {
  const { commands = [] } = job.step(id);
  const changed = commands.map((command) => (command.index === index ? { ...command, ...to } : command));
  job.updateStep(id, { commands: fitting(changed), at_work: atWork, ...others });
}

/** Of the agent, on a line of its own. */
function say(job: RunningJob, id: string, log: ScriptLog | undefined, line: string): void {
  try {
    log?.endLines();
  } catch {
    // The next line says so.
  }
  write(job, id, log, 'stderr', line);
}

/** A job is no worse for a log that could not be kept. */
function write(
  job: RunningJob,
  id: string,
  log: ScriptLog | undefined,
  channel: 'stdout' | 'stderr',
  text: string,
): void {
  try {
    log?.push(channel, text);
  } catch (err) {
    if (job.record.warnings?.some(({ kind, name }) => kind === 'log' && name === id)) return;
    job.ground.log.warn({ service: id, err }, 'log of a script could not be written');
    job.warn({
      kind: 'log',
      name: id,
      code: failureOf(err).code,
      message: `The log of ${id} has not all that its commands said.`,
    });
    job.emit('log.lost', `The log of ${id} has not all that its commands said.`, { step: id });
  }
}
