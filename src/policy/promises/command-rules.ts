/**
 * What a manifest promises of commands. Its rules are read once and whole: what could never allow anything, or would mean something
 * else to whoever wrote it, is refused then, and not when a command is held against it.
 *
 *   strict   the rule split at white space is the argument vector; element by element, byte for byte
 *   regex    the rule behind its word has to match all of program and arguments, joined by single spaces
 *
 * A rule that is JSON in a text says it by `args`, as text that is read the same way, or as a list that is the argument vector. Its
 * environment is the environment of the command: no variable more, none less.
 */
import type { CommandPolicy } from '../../contract/job-plan.ts';
import type { PayloadManifest } from '../../contract/payload-manifest.ts';
import { maxRegexSize } from '../../contract/regex-size.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import type { PathError } from '../../contract/validate.ts';
import { type CommandWord, commandWords, type RuledCommand, type RuledWord } from './command-text.ts';
import { describeEnv, describeWords } from './differences.ts';
import { readPattern } from './patterns.ts';
import { readUpstreamRule } from './upstream-rules.ts';

type Script = NonNullable<NonNullable<PayloadManifest['compManifest']>['script']>;
export type Match = NonNullable<Script['match']>;

/** `yagna` compares as the programs of the Golem network do: docs/golem.md says in what that differs. */
export type CommandMode = CommandPolicy;

export interface CommandRule {
  /** As the manifest has it. */
  readonly text: string;
  readonly word: RuledWord;
  /** About what it is, to find the one that is nearest to a command that none allows: begins with the word. */
  readonly plain: string;
  /** Of its expression, 0 where it has none: what a comparison costs for each character that it is held against. */
  readonly size: number;
  /** What every text begins with that its expression matches: with any other it costs nothing. */
  readonly lead: string;
  /** Why it does not allow this one, as a clause about it; undefined where it does. */
  differs(command: RuledCommand): string | undefined;
}

export type CommandRules =
  /** Nothing is promised, so everything may be run. */
  | { readonly kind: 'everything' }
  | { readonly kind: 'listed'; readonly mode: CommandMode; readonly rules: readonly CommandRule[] };

export type ReadRules =
  | { readonly ok: true; readonly rules: CommandRules; readonly warnings: readonly PathError[] }
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Absent for a rule about what always may be, or that allows nothing. */
export interface ReadRule {
  readonly rule?: CommandRule;
  readonly errors?: readonly string[];
  readonly warnings?: readonly string[];
}

/** Of all expressions of a manifest together: their programs are kept in memory. */
const maxSizeOfAll = 4 * maxRegexSize;
const space = '[ \\t\\r\\n\\f\\v]';
const firstWord = new RegExp(`^${space}*([^ \\t\\r\\n\\f\\v]*)${space}*`);

/** Paths in the manifest. */
export function readCommandRules(
  { compManifest }: Pick<PayloadManifest, 'compManifest'>,
  mode: CommandMode,
): ReadRules {
  if (!compManifest || (mode === 'yagna' && !compManifest.script)) {
    return { ok: true, rules: { kind: 'everything' }, warnings: [] };
  }
  const { commands = [], match = 'strict' } = compManifest.script ?? {};
  const read = commands.map((text) => (mode === 'yagna' ? readUpstreamRule(text, match) : readRule(text, match)));
  const told = (kind: 'errors' | 'warnings', code: string) =>
    read.flatMap((each, index) =>
      (each[kind] ?? []).map((message) => ({ path: `/compManifest/script/commands/${index}`, code, message })),
    );
  const rules = read.flatMap(({ rule }) => rule ?? []);
  const errors = [...told('errors', 'rule'), ...checkSize(rules)];
  return errors.length > 0
    ? { ok: false, errors }
    : { ok: true, rules: { kind: 'listed', mode, rules }, warnings: told('warnings', 'rule') };
}

function checkSize(rules: readonly CommandRule[]): PathError[] {
  const sum = rules.reduce((total, { size }) => total + size, 0);
  if (sum <= maxSizeOfAll) return [];
  return [{ path: '/compManifest/script/commands', code: 'too_large', message: 'has expressions that are too large' }];
}

function readRule(text: string, match: Match): ReadRule {
  if (new RegExp(`^${space}*\\{`).test(text)) return readJsonRule(text, match);
  const [lead = '', word = ''] = firstWord.exec(text) ?? [];
  if (!isCommandWord(word)) return failed(`must begin with one of ${commandWords.join(', ')}, or be a JSON object`);
  const rest = text.slice(lead.length);
  if (word !== 'run' && word !== 'transfer') return readFree(word, rest);
  return ruleOf({ text, word, env: {} }, rest, match);
}

function isCommandWord(word: string): word is CommandWord {
  return commandWords.some((known) => known === word);
}

function failed(...errors: string[]): ReadRule {
  return { errors };
}

/** What always may be, so that a rule about it says nothing. */
function readFree(word: CommandWord, rest: string): ReadRule {
  if (word === 'sign') return { warnings: ['is about sign, which no host carries out'] };
  return rest === '' ? {} : { warnings: [`says more than ${word}, which always is allowed whatever stands behind it`] };
}

type Begun = Pick<CommandRule, 'text' | 'word'> & Pick<RuledCommand, 'env'>;

function ruleOf(begun: Begun, args: string, match: Match): ReadRule {
  if (match === 'regex') return regexRule(begun, args);
  const words = args.split(new RegExp(`${space}+`)).filter((word) => word !== '');
  const hint = 'has quotes, which are part of the arguments: JSON with `args` as a list has arguments with spaces';
  return { ...vectorRule(begun, words), ...(/["']/.test(args) && { warnings: [hint] }) };
}

function vectorRule({ text, word, env }: Begun, words: readonly string[]): ReadRule {
  if (word === 'transfer' && words.length !== 2) return failed('must name where a file comes from and where it goes');
  if (words[0] === undefined || words[0] === '') return failed('must name a program');
  const differs = (command: RuledCommand) => describeWords(command, words) ?? describeEnv(command, env);
  return { rule: { ...{ text, word, plain: [word, ...words].join(' '), size: 0, lead: '' }, differs } };
}

function regexRule({ text, word, env }: Begun, source: string): ReadRule {
  if (source === '') return failed(`must have an expression behind ${word}`);
  const read = readPattern(source);
  if (!read.ok) return failed(read.reason);
  const lead = leadOf(source);
  const matches = (joined: string) => joined.startsWith(lead) && read.pattern.testExact(joined);
  const differs = (command: RuledCommand) =>
    matches(command.words.join(' ')) ? describeEnv(command, env) : 'the expression does not match all of it';
  const plain = `${word} ${source}`;
  return { rule: { ...{ text, word, plain, size: read.size, lead: `${word} ${lead}` }, differs } };
}

/** The plain characters that it begins with; none where it may have another beginning. */
function leadOf(source: string): string {
  return source.includes('|') ? '' : (/^[\w/ :-]*(?![*+?{])/.exec(source)?.[0] ?? '');
}

function readJsonRule(text: string, match: Match): ReadRule {
  const read = readStrictJson(new TextEncoder().encode(text));
  if (!read.ok) return failed(`begins like JSON, and ${read.errors[0]?.message ?? 'is not JSON'}`);
  const entries = Object.entries(read.value as Record<string, unknown>);
  const [word = '', body] = entries[0] ?? [];
  if (entries.length !== 1 || !isCommandWord(word)) {
    return failed(`must be an object with one key, which is one of ${commandWords.join(', ')}`);
  }
  if (word !== 'run' && word !== 'transfer') return readFree(word, '');
  if (!isObject(body)) return failed(`must have an object as its ${word}`);
  const { args, env = {}, match: own, ...others } = body;
  const stray = Object.keys(others)[0];
  if (stray !== undefined) return failed(`has the key ${JSON.stringify(stray)}; known are args, env and match`);
  const context = readContext(env, own, word);
  if ('errors' in context) return { errors: context.errors };
  return readArgs({ text, word, env: context.env }, args, context.match, match);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `own` of the rule itself: a list is one vector, so that only the mode of the others can be another. */
function readArgs(begun: Begun, args: unknown, own: Match | undefined, match: Match): ReadRule {
  if (typeof args === 'string') return ruleOf(begun, args, own ?? match);
  const isList = Array.isArray(args) && args.every((each) => typeof each === 'string');
  if (!isList) return failed('must have args: a text, or a list of texts');
  return own === 'regex' ? failed('has args as a list, which is never an expression') : vectorRule(begun, args);
}

/** The mode stands beside `args` in what describes manifests, and in `env` in its example. */
function readContext(env: unknown, beside: unknown, word: RuledWord) {
  if (!isObject(env)) return { errors: ['must have an object as its env'] };
  const { match: within, ...variables } = env;
  const isMatch = (value: unknown): value is Match | undefined =>
    value === undefined || value === 'strict' || value === 'regex';
  if (!isMatch(beside) || !isMatch(within)) return { errors: ['has a match that is neither strict nor regex'] };
  if (beside !== undefined && within !== undefined && beside !== within) {
    return { errors: ['has match twice, in env and beside it, and they differ'] };
  }
  const isValue = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');
  const wrong = Object.entries(variables).find(([name, value]) => !/^[A-Za-z_]\w*$/.test(name) || !isValue(value));
  if (wrong) return { errors: [`has ${JSON.stringify(wrong[0])} in env, which is no variable with a text`] };
  if (word === 'transfer' && Object.keys(variables).length > 0)
    return { errors: ['has env, which a transfer has not'] };
  return { match: beside ?? within, env: variables as Record<string, string> };
}
