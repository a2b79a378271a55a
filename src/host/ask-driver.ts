/**
 * Asks a tool of a GPU driver. A driver in trouble holds each process that asks it, and not even SIGKILL ends one: so while
 * a call that was given up is still there, nobody starts another, however often and from wherever the cards are looked at.
 */
import { isLeftBehind, type ProgramOptions, type ProgramResult, runProgram } from './run-program.ts';

/** A healthy driver of eight cards that is not kept loaded takes several seconds. */
export const driverTimeoutMs = 10_000;

/** Never rejects because of the tool, only with the signal's reason. */
export async function askDriver(
  tool: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  options.signal?.throwIfAborted();
  return isLeftBehind(tool) ? { outcome: 'timed_out' } : await runProgram(tool, args, options);
}

/** Why the tool gave no answer, one sentence; null if it gave one, whatever its exit code. */
export function whyNoAnswer(tool: string, result: ProgramResult, timeoutMs: number): string | null {
  if (result.outcome === 'timed_out') {
    return `${tool} did not answer within ${timeoutMs / 1000} s: the driver hangs.`;
  }
  return result.outcome === 'broken' ? `${tool} could not be run: ${result.why}.` : null;
}

/** What a tool said, in one line that is safe to show: bounded, and without characters that steer a terminal. */
export function quoted(text: string, maxLength = 300): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
    .slice(0, maxLength);
}

/** `0000:17:00.0`, as the kernel writes it; null for anything else. NVIDIA writes the domain with eight digits. */
export function pciAddress(text: string): string | null {
  const [, domain, rest] = /^([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/.exec(text.trim().toLowerCase()) ?? [];
  return domain === undefined || rest === undefined
    ? null
    : `${Number.parseInt(domain, 16).toString(16).padStart(4, '0')}:${rest}`;
}
