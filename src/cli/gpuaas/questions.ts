/**
 * Questions to the person at a terminal. They are written to stderr, so that stdout keeps the result alone.
 *
 * Ctrl-C ends the command with `command.left`: nothing was launched by then.
 */
import { AgentError } from '../../contract/failures.ts';
import { tell } from '../output.ts';
import { oneLine } from '../printable.ts';

export interface Choice<T> {
  readonly name: string;
  readonly value: T;
  /** Why it cannot be chosen; undefined where it can. */
  readonly unavailable?: string;
}

export interface Questions {
  /** Says something between two questions. */
  say(text: string): void;
  /** A line of text; `wrongWith` says what is wrong with it, undefined if nothing is. */
  text(label: string, initial: string, wrongWith: (text: string) => string | undefined): Promise<string>;
  /** A line that is not shown. */
  secret(label: string, wrongWith: (text: string) => string | undefined): Promise<string>;
  /** One of several; `initial` is the one that stands there first. */
  choose<T>(label: string, choices: readonly Choice<T>[], initial?: T): Promise<T>;
}

type Prompts = Pick<typeof import('@inquirer/prompts'), 'input' | 'password' | 'select'>;

/** True where somebody sits who can answer. */
export function isTerminal(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asked by `prompts`; those of `@inquirer/prompts`, which are loaded only here, if left out. */
export async function terminalQuestions(prompts?: Prompts): Promise<Questions> {
  const { input, password, select } = prompts ?? (await import('@inquirer/prompts'));
  const context = { output: process.stderr };
  const judged = (wrongWith: (text: string) => string | undefined) => (text: string) => {
    const wrong = wrongWith(text);
    return wrong === undefined || oneLine(wrong);
  };
  return {
    say: tell,
    text: (message, initial, wrongWith) =>
      answered(
        input(
          { message: oneLine(message), ...(initial === '' ? {} : { default: initial }), validate: judged(wrongWith) },
          context,
        ),
      ),
    secret: (message, wrongWith) =>
      answered(password({ message: oneLine(message), mask: true, validate: judged(wrongWith) }, context)),
    choose: (message, choices, initial) =>
      answered(
        select(
          {
            message: oneLine(message),
            choices: choices.map(({ name, value, unavailable }) => ({
              ...{ name: oneLine(name), value },
              ...(unavailable === undefined ? {} : { disabled: `(${oneLine(unavailable)})` }),
            })),
            ...(initial === undefined ? {} : { default: initial }),
          },
          context,
        ),
      ),
  };
}

async function answered<T>(question: Promise<T>): Promise<T> {
  try {
    return await question;
  } catch (error) {
    const isLeft = error instanceof Error && error.name === 'ExitPromptError';
    throw isLeft ? new AgentError('command.left', {}, { cause: error }) : error;
  }
}
