/**
 * Rules as the programs of the Golem network read them, for hosts whose operators ask for that: a text that is compared whole with
 * the text of a command, or searched in it. What cannot be read allows nothing, and nobody is told. docs/golem.md has the
 * differences from what is done else.
 */
import type { CommandRule, Match, ReadRule } from './command-rules.ts';
import { type RuledCommand, type RuledWord, textOf } from './command-text.ts';
import { readPattern } from './patterns.ts';

export function readUpstreamRule(text: string, match: Match): ReadRule {
  const json = readJson(text);
  if (json !== undefined) return readJsonRule(text, json, match);
  // By its text alone: `runner x` is one of these as well.
  const word = (['run', 'transfer'] as const).find((each) => text.startsWith(each));
  return word === undefined ? {} : ruleOf({ text, word }, text, match);
}

function readJson(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function readJsonRule(text: string, json: object, match: Match): ReadRule {
  const [word] = Object.keys(json);
  if (word !== 'run' && word !== 'transfer') return {};
  const { args, match: own } = ((json as Record<string, unknown>)[word] ?? {}) as Record<string, unknown>;
  if (typeof args !== 'string') return {};
  return ruleOf({ text, word }, `${word} ${args}`, own === 'strict' || own === 'regex' ? own : match);
}

function ruleOf(begun: { readonly text: string; readonly word: RuledWord }, wanted: string, match: Match): ReadRule {
  if (match === 'strict') {
    const differs = (command: RuledCommand) =>
      textOf(command) === wanted ? undefined : 'its text is not that of the rule';
    return { rule: { ...begun, plain: wanted, size: 0, lead: '', differs } };
  }
  const read = readPattern(wanted);
  if (!read.ok) return {};
  const differs: CommandRule['differs'] = (command) =>
    read.pattern.test(textOf(command)) ? undefined : 'the expression is found nowhere in it';
  return { rule: { ...begun, plain: wanted, size: read.size, lead: '', differs } };
}
