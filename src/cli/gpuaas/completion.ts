/** `gpuaas completion SHELL`: completes commands and options, from the very table that the command line is parsed by. */
import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Level {
  /** Commands that lead here, with a space before each: ` apps instances`. */
  readonly path: string;
  readonly words: readonly string[];
}

/** The script; `eval "$(gpuaas completion bash)"` puts it to use. */
export function completionOf(program: Command, shell: Shell): string {
  const levels = levelsOf(program, '');
  switch (shell) {
    case 'bash':
      return bash(program.name(), levels);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(program.name(), levels)}`;
    case 'fish':
      return fish(program.name(), levels);
  }
}

function levelsOf(command: Command, path: string): Level[] {
  const options = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []));
  const commands = command.commands.map((each) => each.name());
  return [
    { path, words: [...commands, ...options, '--help'] },
    ...command.commands.flatMap((each) => levelsOf(each, `${path} ${each.name()}`)),
  ];
}

function bash(name: string, levels: readonly Level[]): string {
  const known = levels.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const cases = levels.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`);
  return `_${name}() {
  local path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${known.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _${name} ${name}
`;
}

function fish(name: string, levels: readonly Level[]): string {
  const known = levels.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const rules = levels.map(
    ({ path, words }) => `complete -c ${name} -f -n 'test (__${name}_path) = "${path}"' -a '${words.join(' ')}'`,
  );
  return `function __${name}_path
  set -l path ''
  for word in (commandline -opc)[2..]
    switch "$path $word"
      case ${known.join(' ')}
        set path "$path $word"
    end
  end
  echo "$path"
end
${rules.join('\n')}
`;
}
