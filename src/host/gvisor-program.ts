/**
 * Whether the runtime that stands for gVisor is gVisor. An engine starts whatever is registered under a name: the program itself is asked
 * what it is, so that a wrong name or path is no sandbox that only seems to be one.
 */
import { runProgram } from './run-program.ts';

/** A runtime as the engine starts it. */
export interface RuntimeProgram {
  readonly path: string;
  readonly args: readonly string[];
}

export type GvisorAnswer = { readonly path: string; readonly version: string } | { readonly why: string };

/** A machine that has just started may be busy, and a no keeps every launch away. */
const answerMs = 10_000;

/** `why` it is not gVisor is one sentence. What cannot be asked is none: a runtime that is a shim of containerd has no program to ask. */
export async function askGvisor(
  name: string,
  programs: ReadonlyMap<string, RuntimeProgram>,
  signal: AbortSignal,
): Promise<GvisorAnswer> {
  const program = programs.get(name);
  if (program === undefined) return { why: `The engine does not tell which program its runtime ${name} is.` };
  const asked = await runProgram(program.path, ['--version'], { timeoutMs: answerMs, signal });
  const isAnswer = asked.outcome === 'exited' && asked.exitCode === 0;
  // Its first line alone: a wrapper may print more, of another program.
  const version = isAnswer ? /^runsc version (\S+)/.exec(asked.stdout)?.[1] : undefined;
  return version === undefined
    ? { why: `${program.path}, the runtime ${name} of the engine, does not say that it is a runsc.` }
    : { path: program.path, version };
}
