/** How the commands talk: results on stdout, everything else on stderr. */
import { AgentError } from '../contract/failures.ts';
import { exitCodes } from './exit-codes.ts';

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Progress and hints: for the person at the terminal, never for a program. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** Text of a task or a workload must not steer the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\t\n]/gu, '\ufffd');
}

/** Columns padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Prints an error as the command's answer and returns the exit status that stands for it. */
export function reportError(error: unknown, json: boolean): number {
  const failure = (
    error instanceof AgentError
      ? error
      : new AgentError('internal', { reason: error instanceof Error ? error.message : String(error) }, { cause: error })
  ).toFailure();
  if (json) {
    printJson({ failure });
  } else {
    tell(`error: ${failure.message} [${failure.code}]`);
    for (const { path, message } of (failure.detail['errors'] as { path: string; message: string }[] | undefined) ??
      []) {
      tell(`  ${path || '/'}: ${message}`);
    }
    tell(`hint: ${failure.hint}`);
  }
  if (failure.code === 'agent.busy') {
    return exitCodes.busy;
  }
  return failure.kind === 'internal' || failure.kind === 'cancelled' ? exitCodes.failed : exitCodes.unusable;
}
