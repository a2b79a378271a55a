/** Commands as rules and people see them. */
import type { ExeCommand } from '../../contract/exe-script.ts';

/** What rules may begin with; `sign` is known to other networks alone. */
export const commandWords = ['run', 'transfer', 'deploy', 'start', 'terminate', 'sign'] as const;
export type CommandWord = (typeof commandWords)[number];
/** What only rules can allow; the others always may. */
export type RuledWord = 'run' | 'transfer';

/** A command of which a rule says whether it may be: what is compared. */
export interface RuledCommand {
  readonly word: RuledWord;
  /** Program and arguments, or from where to where. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Undefined for one that always may be. */
export function ruledCommand({ run, transfer }: ExeCommand): RuledCommand | undefined {
  if (run) return { word: 'run', words: [run.entry_point, ...(run.args ?? [])], env: run.env ?? {} };
  return transfer && { word: 'transfer', words: [transfer.from, transfer.to], env: {} };
}

/** As the Golem network writes it to compare it: with a space at its end where there are no arguments. */
export function textOf({ word, words: [first = '', ...rest] }: RuledCommand): string {
  return `${word} ${first} ${rest.join(' ')}`;
}

/** As people would write it: what is no plain word is quoted as JSON does. */
export function commandText(command: ExeCommand): string {
  const ruled = ruledCommand(command);
  if (!ruled) return Object.keys(command)[0] ?? '';
  const env = Object.entries(ruled.env).map(([name, value]) => `${name}=${quoted(value)}`);
  return [ruled.word, ...env, ...ruled.words.map(quoted)].join(' ');
}

export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word);
}
