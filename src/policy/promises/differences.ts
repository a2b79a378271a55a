/** In what a command differs from the one that a rule allows. */
import { quoted, type RuledCommand } from './command-text.ts';

const longestShown = 80;

/** The first difference; undefined where there is none. */
export function describeWords({ word, words }: RuledCommand, allowed: readonly string[]): string | undefined {
  const at = allowed.findIndex((each, index) => index < words.length && each !== words[index]);
  if (at >= 0) {
    const what = word === 'run' ? (at === 0 ? 'its program' : `its argument ${at}`) : at === 0 ? 'from' : 'to';
    return `${what} is ${shown(words[at])}, and ${shown(allowed[at])} in the rule`;
  }
  if (words.length === allowed.length) return undefined;
  return `it has ${counted(words.length - 1)}, and ${counted(allowed.length - 1)} in the rule`;
}

export function describeEnv({ env }: RuledCommand, allowed: Readonly<Record<string, string>>): string | undefined {
  const names = [...new Set([...Object.keys(allowed), ...Object.keys(env)])];
  const of = (values: Readonly<Record<string, string>>, name: string) =>
    Object.hasOwn(values, name) ? values[name] : undefined;
  const name = names.find((each) => of(env, each) !== of(allowed, each));
  if (name === undefined) return undefined;
  const [its, ruled] = [of(env, name), of(allowed, name)];
  if (ruled === undefined) return `it sets ${name}, and the rule does not`;
  return its === undefined
    ? `it does not set ${name}, which is ${shown(ruled)} in the rule`
    : `it sets ${name} to ${shown(its)}, which is ${shown(ruled)} in the rule`;
}

function counted(many: number): string {
  return many === 1 ? '1 argument' : `${many === 0 ? 'no' : many} arguments`;
}

/** What is long is cut: an error must not be larger than what it is about. */
export function shown(text = ''): string {
  return quoted(text.length > longestShown ? `${text.slice(0, longestShown)}…` : text);
}
