/**
 * `completion SHELL`: completes commands, options and their values, from the very table that the command line is parsed by.
 *
 * Values that only a control plane or a daemon knows are asked for by a hidden command, `complete KIND [BEGUN]`, which prints
 * one a line, says nothing where there is no answer, and is soon over.
 */
import { Argument, type Command, type Option } from 'commander';
import { exitCodes } from './exit-codes.ts';
import { printLine } from './output.ts';
import type { Carry } from './run-program.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** Name of the command that scripts ask for values. */
const asking = 'complete';
/** Longest that somebody who has pressed Tab is kept waiting. */
const patienceMs = 1500;
/** Anything else might mean something to a shell. */
const harmless = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** What a value can be, and how all of its kind are found. `name`: what people call it, if it is not the value itself. */
export type Kinds = Readonly<Record<string, (signal: AbortSignal) => Promise<readonly Candidate[]>>>;
export interface Candidate {
  readonly value: string;
  readonly name?: string;
}

export function addCompletion(program: Command, carry: Carry, kinds: Kinds): void {
  program
    .command('completion')
    .description(`print a script that completes commands: eval "$(${program.name()} completion bash)"`)
    .addArgument(new Argument('<shell>', 'which shell').choices([...shells]))
    .action((shell) =>
      carry(async () => {
        printLine(completionOf(program, shell, Object.keys(kinds)));
        return exitCodes.ok;
      }),
    );
  program.command(`${asking} <kind> [begun]`, { hidden: true }).action((kind, begun = '') =>
    carry(async () => {
      // Whoever completes a line has no use for an error in the middle of it.
      const find = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
      const all = (await find?.(AbortSignal.timeout(patienceMs)).catch(() => [])) ?? [];
      for (const { value, name = '' } of all) {
        if (harmless.test(value) && (value.startsWith(begun) || name.startsWith(begun))) {
          printLine([value, ...(name === '' ? [] : [name.replaceAll(/\s+/g, ' ')])].join('\t'));
        }
      }
      return exitCodes.ok;
    }),
  );
}

/** What can stand at a place of the command line. */
interface Level {
  /** Commands that lead here, with a space before each, and the option whose value comes here: ` nodes drain --x`. */
  readonly path: string;
  readonly words: readonly string[];
  /** Of the values that have to be asked for. */
  readonly kind?: string | undefined;
}

/** The script. `kinds`: what can be asked for; `nodes show <id>` takes one of `nodes`, `--project <id>` and `<project>` one of `projects`. */
export function completionOf(program: Command, shell: Shell, kinds: readonly string[] = []): string {
  const levels = levelsOf(program, [], kinds);
  switch (shell) {
    case 'bash':
      return bash(program.name(), levels);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(program.name(), levels)}`;
    case 'fish':
      return fish(program.name(), levels);
  }
}

interface Levels {
  readonly commands: readonly Level[];
  /** Values of options. */
  readonly values: readonly Level[];
}

function levelsOf(command: Command, names: readonly string[], kinds: readonly string[]): Levels {
  const path = names.map((name) => ` ${name}`).join('');
  const options = command.options.filter(({ long, hidden }) => long !== undefined && !hidden);
  const below = command.commands.filter((each) => each.name() !== asking);
  const [argument] = command.registeredArguments;
  const group = names.at(-2) ?? '';
  const called = argument?.name() ?? '';
  const level = {
    path,
    words: [
      ...below.map((each) => each.name()),
      ...(argument?.argChoices ?? []),
      ...options.map(({ long }) => String(long)),
      '--help',
    ],
    kind: kinds.find((kind) => kind === (called === 'id' && group !== '' ? group : `${called}s`)),
  };
  const inner = below.map((each) => levelsOf(each, [...names, each.name()], kinds));
  return {
    commands: [level, ...inner.flatMap(({ commands }) => commands)],
    values: [
      ...options.filter(({ required }) => required).map((option) => valuesOf(option, path, kinds)),
      ...inner.flatMap(({ values }) => values),
    ],
  };
}

function valuesOf({ long, argChoices = [] }: Option, path: string, kinds: readonly string[]): Level {
  return {
    path: `${path} ${long}`,
    words: argChoices,
    kind: kinds.find((kind) => kind === `${String(long).slice(2)}s`),
  };
}

function bash(name: string, { commands, values }: Levels): string {
  const known = commands.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const cases = (levels: readonly Level[]) =>
    levels.map(({ path, words, kind = '' }) => `    '${path}') words='${words.join(' ')}' kind='${kind}' ;;`);
  return `_${name.replaceAll('-', '_')}() {
  local path='' words='' kind='' word now="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${known.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases(commands).join('\n')}
  esac
  case "$path $before" in
${cases(values).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$now"))
  if [[ -n "$kind" && "$now" != -* ]]; then
    COMPREPLY+=($(${name} ${asking} "$kind" "$now" 2>/dev/null | cut -f 1))
  fi
}
complete -o default -F _${name.replaceAll('-', '_')} ${name}
`;
}

function fish(name: string, { commands, values }: Levels): string {
  const known = commands.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const at = `__${name.replaceAll('-', '_')}`;
  const rules = (levels: readonly Level[], place: string) =>
    levels.map(({ path, words, kind }) => {
      const asked = kind === undefined ? '' : ` (${name} ${asking} ${kind} (commandline -ct) 2>/dev/null)`;
      return `complete -c ${name} -f -n 'test "$(${at}_${place})" = "${path}"' -a '${words.join(' ')}${asked}'`;
    });
  return `function ${at}_path
  set -l path ''
  for word in (commandline -opc)[2..]
    switch "$path $word"
      case ${known.join(' ')}
        set path "$path $word"
    end
  end
  echo "$path"
end
function ${at}_option
  echo (${at}_path)" "(commandline -opc)[-1]
end
${[...rules(commands, 'path'), ...rules(values, 'option')].join('\n')}
`;
}
