/** How the commands of a script stand, before the first of them and after the end of their step. */
import { bounds, cutText } from '../contract/bounds.ts';
import type { CommandReport, ExeCommand } from '../contract/exe-script.ts';
import { redactText } from '../kit/log.ts';

/** Why a command has not succeeded that was at work when its job was to end. */
export const wasStopped = 'It was stopped, as the job was to end.';

/** Before anything of it is done. */
export function pendingCommands(script: readonly ExeCommand[]): CommandReport[] {
  return script.map((each, index) => ({
    ...{ index, command: cutText(commandWords(each), bounds.word) },
    ...{ state: 'pending', exit_code: null, message: null, duration_ms: null },
  }));
}

/** How people read a command; never longer than a line. */
export function commandWords({ run, transfer, ...other }: ExeCommand): string {
  const text = run
    ? ['run', run.entry_point, ...(run.args ?? [])].map(quoted).join(' ')
    : transfer
      ? `transfer ${withoutQuery(transfer.from)} ${withoutQuery(transfer.to)}`
      : (Object.keys(other)[0] ?? '');
  return cutText(redactText(text), bounds.line);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word);
}

/** A query may be a key. */
function withoutQuery(address: string): string {
  return address.replace(/[?#].*$/s, '');
}

/** Once the step has ended: what has not ended by then never does. `why` is told of one that was at work. */
export function settledCommands(
  commands: readonly CommandReport[],
  script: readonly ExeCommand[],
  { isDone, why }: { readonly isDone: boolean; readonly why: string | null },
): CommandReport[] {
  return commands.map((command) => {
    const isEnd = script[command.index]?.terminate !== undefined;
    if (isEnd && isDone && command.state === 'running') return { ...command, state: 'succeeded', duration_ms: 0 };
    if (command.state === 'pending') return { ...command, state: 'skipped' };
    return command.state === 'running' ? { ...command, state: 'failed', message: why } : command;
  });
}
