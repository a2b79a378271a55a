/**
 * Runs a command inside a container and waits for its end.
 *
 *   create ─▶ start, output streams ─▶ stream ended ─▶ ask until it is not running ─▶ exit code
 *                                   └▶ stream was cut (gate or engine restarted) ──┘
 *
 * The process belongs to the engine: aborting the signal, or losing the connection, ends the waiting and never the
 * command, since the engine's API cannot end it. Whoever comes back can join it (`adopt`).
 */
import { AgentError } from '../../contract/failures.ts';
import { backoffDelay, pause } from '../../kit/backoff.ts';
import { TailBuffer } from '../../kit/tail-buffer.ts';
import { type ExecOptions, type ExecResult, execTailLength, type LogChannel } from '../engine.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls, EngineStream } from './calls.ts';
import { inspectContainer } from './containers.ts';
import { FrameReader } from './frames.ts';
import { AnswerError } from './transport.ts';

const poll = { firstMs: 10, maxMs: 2000, factor: 2 };
/** An exec whose start was answered begins within this time, or never. */
const beginMs = 10_000;
/** The engine hears of the end of a container and of its commands one after the other. */
const containerEndMs = 1000;
const containerPollMs = 50;
const killedExitCode = 137;
/** Said by engines of what they could not run, as where its container had ended. */
const neverBegan = 126;

export async function runExec(
  calls: Calls,
  container: string,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const { signal, join } = options;
  const wasStarted = join !== undefined && (await isStarted(calls, container, join, signal));
  const running = wasStarted ? join : options.adopt ? await findRunning(calls, container, argv, signal) : undefined;
  if (running !== undefined) {
    return { exitCode: await untilEnded(calls, container, running, signal), tail: '', adopted: true };
  }
  const tail = new TailBuffer(execTailLength);
  const { id, stream } = await begin(calls, container, argv, options);
  const isWhole = await copyOutput(stream, signal, (channel, text) => {
    tail.push(text);
    options.onOutput?.(channel, text);
  });
  // The engine says 126 for a command that wrote to a stream that was cut, whatever it ended with.
  return { exitCode: await untilEnded(calls, container, id, signal), tail: tail.toString(), adopted: !isWhole };
}

async function findRunning(
  calls: Calls,
  container: string,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const facts = await inspectContainer(calls, container, signal);
  for (const id of facts?.execIds ?? []) {
    const exec = await inspectExec(calls, container, id, signal);
    if (exec?.Running && isSameCommand(exec, argv)) {
      return id;
    }
  }
  return undefined;
}

function isSameCommand({ ProcessConfig: process }: ExecObject, argv: readonly string[]): boolean {
  const running = [process?.entrypoint ?? '', ...(process?.arguments ?? [])];
  return running.length === argv.length && running.every((argument, index) => argument === argv[index]);
}

/** An engine starts an exec once only, whoever asks for it again. */
async function isStarted(calls: Calls, container: string, id: string, signal: AbortSignal): Promise<boolean> {
  const exec = await inspectExec(calls, container, id, signal);
  if (!exec) {
    await assertContainerRuns(calls, container, signal);
    throw new AgentError('engine.failed', { container, reason: 'It does not know any more what it ran.' });
  }
  return exec.Running || (exec.ExitCode ?? undefined) !== undefined;
}

async function begin(
  calls: Calls,
  container: string,
  argv: readonly string[],
  { signal, env = {}, join, onCreated }: ExecOptions,
): Promise<{ readonly id: string; readonly stream: EngineStream }> {
  try {
    const id = join ?? (await createExec(calls, container, { argv, env }, signal));
    if (join === undefined) onCreated?.(id);
    return { id, stream: await startExec(calls, container, id, signal) };
  } catch (error) {
    // Of a container that ends at that very moment engines tell in words of their own.
    if (error instanceof AgentError && error.code === 'engine.failed' && error.detail['status'] !== undefined) {
      await assertContainerRuns(calls, container, signal);
    }
    throw error;
  }
}

async function createExec(
  calls: Calls,
  container: string,
  { argv, env }: { readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<string> {
  const options = { call: 'exec', timeoutMs: calls.timeouts.lookMs, signal, container };
  const variables = Object.entries(env).map(([variable, value]) => `${variable}=${value}`);
  const request = {
    ...{ AttachStdout: true, AttachStderr: true, Cmd: [...argv] },
    ...(variables.length > 0 && { Env: variables }),
  };
  return await calls.run(options, async (docker, abortSignal) => {
    const exec = docker.getContainer(container).exec({ ...request, abortSignal });
    return (await unlessEnded(container, exec)).id;
  });
}

async function startExec(calls: Calls, container: string, id: string, signal: AbortSignal): Promise<EngineStream> {
  const options = { call: 'exec', timeoutMs: calls.timeouts.lookMs, signal, container };
  // No upgrade of the connection: nothing is ever written to the command, and a plain answer needs no hijacking.
  return await calls.open(options, (docker, abortSignal) => {
    return unlessEnded(container, docker.getExec(id).start({ Detach: false, Tty: false, abortSignal }));
  });
}

async function unlessEnded<T>(container: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    // 409 without a code is the engine's word for a container that does not run.
    if (error instanceof AnswerError && error.status === 409 && error.body.code === undefined) {
      throw exited(container, error.message);
    }
    throw error;
  }
}

/** Ends with the stream, however that ends: what became of the command is asked afterwards. False if it was cut. */
async function copyOutput(
  stream: EngineStream,
  signal: AbortSignal,
  onText: (channel: LogChannel, text: string) => void,
): Promise<boolean> {
  const frames = new FrameReader();
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  try {
    for await (const chunk of stream.chunks()) {
      for (const { channel, data } of frames.push(chunk)) {
        const text = channel === 'engine' ? data.toString() : decoders[channel].decode(data, { stream: true });
        if (text !== '') {
          onText(channel === 'engine' ? 'stderr' : channel, text);
        }
      }
    }
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (!isOutage(error)) {
      throw error;
    }
    return false;
  }
}

/** Asks until the command has ended. An engine that is away is waited for; one that forgot the command is an error. */
async function untilEnded(calls: Calls, container: string, id: string, signal: AbortSignal): Promise<number> {
  const began = performance.now();
  let awaySince: number | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const exec = await inspectExec(calls, container, id, signal);
      awaySince = undefined;
      const exitCode = await judge(calls, container, exec, signal);
      if (exitCode !== undefined) {
        return exitCode;
      }
      if (!exec?.Running && performance.now() - began > beginMs) {
        throw new AgentError('engine.failed', { container, reason: 'It never began the command.' });
      }
    } catch (error) {
      signal.throwIfAborted();
      awaySince ??= performance.now();
      if (!isOutage(error) || performance.now() - awaySince > calls.timeouts.execOutageMs) {
        throw error;
      }
    }
    await pause(backoffDelay(poll, attempt), signal);
  }
}

/** The exit code; undefined while there is none yet. Throws if the container ended, or the engine forgot. */
async function judge(
  calls: Calls,
  container: string,
  exec: ExecObject | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const exitCode = exec?.ExitCode ?? undefined;
  if (exec && (exec.Running || exitCode === undefined)) {
    return undefined;
  }
  if (exitCode === undefined || exitCode === killedExitCode || exitCode === neverBegan) {
    await assertContainerRuns(calls, container, signal);
  }
  if (exitCode === undefined) {
    throw new AgentError('engine.failed', { container, reason: 'It does not know any more what it ran.' });
  }
  return exitCode;
}

/** A command that was killed may have gone with its container, which the engine then says a moment later. */
async function assertContainerRuns(calls: Calls, container: string, signal: AbortSignal): Promise<void> {
  const until = performance.now() + containerEndMs;
  do {
    const facts = await inspectContainer(calls, container, signal);
    if (facts?.status !== 'running') {
      throw exited(container, 'It ended while a command ran in it.', facts?.exitCode ?? null, facts?.oomKilled);
    }
    await pause(containerPollMs, signal);
  } while (performance.now() < until);
}

async function inspectExec(
  calls: Calls,
  container: string,
  id: string,
  signal: AbortSignal,
): Promise<ExecObject | undefined> {
  const options = { call: 'exec', timeoutMs: calls.timeouts.lookMs, signal, container };
  return await calls.run(options, async (docker, abortSignal) => {
    return (await orUndefined(docker.getExec(id).inspect({ abortSignal }))) as ExecObject | undefined;
  });
}

function exited(container: string, reason: string, exitCode: number | null = null, oomKilled = false): AgentError {
  const code = oomKilled ? 'container.oom_killed' : 'container.exited';
  return new AgentError(code, { container, reason, exit_code: exitCode });
}

function isOutage(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'engine.unavailable' || error.code === 'engine.timed_out');
}

/** The engine's exec object (Docker Engine API 1.41), as far as it is read. */
interface ExecObject {
  readonly Running: boolean;
  /** Null before it began. */
  readonly ExitCode?: number | null;
  readonly ProcessConfig?: { readonly entrypoint?: string; readonly arguments?: readonly string[] | null };
}
