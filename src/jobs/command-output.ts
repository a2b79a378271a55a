/** The end of what commands have written, for the report of their step: so much of each, and so much of all of them together. */
import { type CommandReport, maxCapturedBytes } from '../contract/exe-script.ts';
import { redactText } from '../kit/log.ts';
import { TailBuffer } from '../kit/tail-buffer.ts';
import type { LogChannel } from '../runtime/engine.ts';

type Captured = NonNullable<CommandReport['stdout']>;

/** Bytes of JSON of all that is kept of a batch: a report, which has it, travels in one message with other things. */
export const batchBytes = 192 * 1024;

export class CommandOutput {
  readonly #tails = { stdout: new TailBuffer(maxCapturedBytes), stderr: new TailBuffer(maxCapturedBytes) };
  readonly #counts = { stdout: 0, stderr: 0 };

  push(channel: LogChannel, text: string): void {
    this.#tails[channel].push(text);
    this.#counts[channel] += text.length;
  }

  captured(): Pick<CommandReport, 'stdout' | 'stderr'> {
    return { stdout: this.#of('stdout'), stderr: this.#of('stderr') };
  }

  /** The end of both. */
  excerpt(chars: number): string {
    return (['stdout', 'stderr'] as const)
      .map((channel) => this.#of(channel).text.slice(-chars / 2))
      .filter((text) => text !== '')
      .join('\n')
      .toWellFormed();
  }

  #of(channel: LogChannel): Captured {
    const tail = this.#tails[channel].toString();
    const isCut = this.#counts[channel] > maxCapturedBytes;
    // Redacted before it is cut: half a credential would not look like one.
    const whole = redactText(isCut ? tail.slice(1) : tail);
    const text = endOf(whole, (each) => Buffer.byteLength(each) <= maxCapturedBytes);
    return { text, truncated: isCut || text.length < whole.length };
  }
}

/** The same commands, the longest outputs of which are cut until all fit. */
export function fitting(commands: readonly CommandReport[]): CommandReport[] {
  const sizes = commands.flatMap(({ stdout, stderr }) =>
    [stdout, stderr].flatMap((each) => (each ? [sizeOf(each.text)] : [])),
  );
  const most = waterLevel(sizes, batchBytes);
  const cut = (each: Captured): Captured => {
    const text = endOf(each.text, (part) => sizeOf(part) <= most);
    return { text, truncated: each.truncated || text.length < each.text.length };
  };
  return commands.map((command) => ({
    ...command,
    ...(command.stdout && { stdout: cut(command.stdout) }),
    ...(command.stderr && { stderr: cut(command.stderr) }),
  }));
}

/** What each may have at most, so that all of them have no more than `room`. */
function waterLevel(sizes: readonly number[], room: number): number {
  let [left, open] = [room, sizes.length];
  for (const size of sizes.toSorted((one, other) => one - other)) {
    if (size * open > left) return Math.floor(left / open);
    left -= size;
    open -= 1;
  }
  return Number.POSITIVE_INFINITY;
}

function sizeOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}

/** The longest end of a text that fits; characters stay whole. */
function endOf(text: string, fits: (part: string) => boolean): string {
  if (fits(text)) return text;
  let [fit, less] = [text.length, 0];
  while (fit - less > 1) {
    const middle = Math.floor((fit + less) / 2);
    if (fits(text.slice(middle))) fit = middle;
    else less = middle;
  }
  const isHalf = /^[\udc00-\udfff]/.test(text.slice(fit));
  return text.slice(isHalf ? fit + 1 : fit);
}
