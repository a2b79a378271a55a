/** Holds commands against the rules of a manifest, before any of them is carried out. */
import type { ExeCommand, ExeScript } from '../../contract/exe-script.ts';
import type { CommandRule, CommandRules } from './command-rules.ts';
import { ruledCommand, textOf } from './command-text.ts';

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

/** Characters of a command that expressions are held against, and characters times sizes of them in one script: half a second at worst. */
const maxMatchedLength = 65_536;
const maxWork = 5_000_000;

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
  let nearest: { readonly text: string; readonly nearness: number; readonly reason: string } | undefined;
  for (const rule of about) {
    if (!isAffordable(rule, text, budget)) {
      tooMuch = true;
      continue;
    }
    const reason = rule.differs(ruled);
    if (reason === undefined) return { allowed: true, rule: rule.text, reason: 'a rule allows it' };
    const nearness = sharedLength(rule.plain, text);
    if (!nearest || nearness > nearest.nearness) nearest = { text: rule.text, nearness, reason };
  }
  if (tooMuch) return { allowed: false, rule: null, reason: 'it is too long to be held against the rules' };
  return nearest
    ? { allowed: false, rule: nearest.text, reason: nearest.reason }
    : { allowed: false, rule: null, reason: `the manifest has no rule about ${ruled.word}` };
}

function isAffordable({ size, lead }: CommandRule, text: string, budget: { work: number }): boolean {
  const work = text.startsWith(lead) ? size * text.length : 0;
  if (size > 0 && (text.length > maxMatchedLength || work > budget.work)) return false;
  budget.work -= work;
  return true;
}

/** Characters that both begin with. */
function sharedLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}
