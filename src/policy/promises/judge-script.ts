/** Holds commands against the rules of a manifest, before any of them is carried out. */
import type { ExeCommand, ExeScript } from '../../contract/exe-script.ts';
import type { CommandRule, CommandRules } from './command-rules.ts';
import { type RuledCommand, ruledCommand, textOf } from './command-text.ts';
import { shown } from './differences.ts';

export interface JudgedCommand {
  /** From 0. */
  readonly index: number;
  readonly allowed: boolean;
  /** The rule that allows it, or else the nearest; null where none is about such commands, or none is needed. */
  readonly rule: string | null;
  /** Why it is or is not allowed, for a person. */
  readonly reason: string;
}

export interface JudgedScript {
  readonly allowed: boolean;
  readonly commands: readonly JudgedCommand[];
}

/** Characters of a command that expressions are held against, and characters times sizes of them in one script: 2 s at most. */
const maxMatchedLength = 65_536;
const maxWork = 200_000_000;

/** All of them at once; which are carried out does not change what the rules say of the others. */
export function judgeScript(rules: CommandRules, script: ExeScript): JudgedScript {
  const budget = { work: maxWork };
  const commands = script.map((command, index) => ({ index, ...judgeCommand(rules, command, budget) }));
  return { allowed: commands.every(({ allowed }) => allowed), commands };
}

type Verdict = Omit<JudgedCommand, 'index'>;

function judgeCommand(rules: CommandRules, command: ExeCommand, budget: { work: number }): Verdict {
  const ruled = ruledCommand(command);
  if (!ruled) return { allowed: true, rule: null, reason: `${Object.keys(command)[0]} is always allowed` };
  if (rules.kind === 'everything') return { allowed: true, rule: null, reason: 'the manifest promises nothing of it' };
  const about = rules.rules.filter(({ word }) => word === ruled.word);
  const text = textOf(ruled);
  let tooMuch = false;
  for (const rule of about) {
    if (!isAffordable(rule, text, budget)) tooMuch = true;
    else if (rule.differs(ruled) === undefined) return { allowed: true, rule: rule.text, reason: 'a rule allows it' };
  }
  if (tooMuch) return { allowed: false, rule: null, reason: 'it is too long to be held against the rules' };
  return refusal(about, ruled, text);
}

function isAffordable({ size }: CommandRule, text: string, budget: { work: number }): boolean {
  const work = size * text.length;
  if (size > 0 && (text.length > maxMatchedLength || work > budget.work)) return false;
  budget.work -= work;
  return true;
}

function refusal(about: readonly CommandRule[], command: RuledCommand, text: string): Verdict {
  const nearness = (rule: CommandRule) => sharedLength(rule.plain, text);
  const [nearest] = about.toSorted((one, other) => nearness(other) - nearness(one));
  if (!nearest) return { allowed: false, rule: null, reason: `the manifest has no rule about ${command.word}` };
  return { allowed: false, rule: nearest.text, reason: nearest.differs(command) ?? `${shown(text)} is not allowed` };
}

/** Characters that both begin with. */
function sharedLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}
