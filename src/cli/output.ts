/** How the commands talk: results on stdout, everything else on stderr. */
import { readSystemTrouble } from '../agent/system-trouble.ts';
import { AgentError, type Failure, failures } from '../contract/failures.ts';
import { exitCodeOf } from './exit-codes.ts';
import { harmlessJson, indented, oneLine, printable } from './printable.ts';

/**
 * To be called first. Whoever reads the output may stop (`| head`): what was begun is carried through and cleaned up all the
 * same.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') {
        throw error;
      }
    });
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${harmlessJson(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** Progress and hints, for the person at the terminal. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** One JSON line, for the program that asked for `--json`. */
export function tellJson(value: unknown): void {
  process.stderr.write(`${harmlessJson(value)}\n`);
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
  const failure = asAgentError(error).toFailure();
  if (json) {
    printJson({ failure });
  } else {
    tellFailure('error', failure);
  }
  return exitCodeOf(failure);
}

function asAgentError(error: unknown): AgentError {
  if (error instanceof AgentError) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  return readSystemTrouble(error) ?? new AgentError('internal', { reason }, { cause: error });
}

export function tellFailure(label: string, failure: Failure): void {
  tell(`${label}: ${failureLines(failure).join('\n')}`);
}

/** What went wrong, where, the facts of the case with the longest last, and what to do; each fact once. */
export function failureLines(failure: Failure): string[] {
  const { code, hint, detail } = failure;
  const { errors, excerpt, reason: _reason, ...others } = detail;
  const { steps, ...rest } = others;
  const verdict = stepsOf(steps);
  const facts = verdict ? rest : others;
  const listed = Array.isArray(errors) ? (errors as { path: string; message: string }[]) : (verdict ?? []);
  const sentence = sentenceOf(failure, listed);
  const isTold = (value: unknown) => typeof value === 'string' && sentence.includes(value);
  return [
    `${oneLine(sentence)} [${code}]`,
    ...listed.map(({ path, message }) => `  ${oneLine(`${path || '/'}: ${message}`)}`),
    ...Object.entries(facts)
      .filter(([, value]) => value !== null && value !== '' && !isTold(value))
      .map(([name, value]) => factText(name, value)),
    ...(typeof excerpt === 'string' && excerpt.trim() !== '' ? [factText('excerpt', excerpt.trimEnd(), true)] : []),
    `hint: ${oneLine(hint)}`,
  ];
}

/** Of a verdict; undefined for what else a fact of that name may be. */
function stepsOf(steps: unknown): { path: string; message: string }[] | undefined {
  if (!Array.isArray(steps)) return undefined;
  const each = steps as { readonly what?: unknown; readonly outcome?: unknown; readonly why?: unknown }[];
  return each.every((step) => typeof step?.why === 'string')
    ? each.map(({ what, outcome, why }) => ({ path: `${what}, ${outcome}`, message: String(why) }))
    : undefined;
}

/** Without a reason that only repeats or counts errors, all of which follow it line by line. */
function sentenceOf({ code, message, detail }: Failure, listed: readonly { message: string }[]): string {
  const reason = String(detail['reason'] ?? '');
  const plain = failures[code].message;
  const repeats = listed.some((error) => reason.includes(error.message) || error.message.startsWith(plain));
  return repeats ? plain : message;
}

function factText(name: string, value: unknown, apart = false): string {
  const text = typeof value === 'string' ? value : harmlessJson(value);
  return apart || text.includes('\n')
    ? `  ${oneLine(name)}:\n${indented(text, '    ')}`
    : `  ${oneLine(name)}: ${text}`;
}
