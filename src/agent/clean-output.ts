/** Takes hidden texts out of the output of a task. */
import type { TSchema } from 'typebox';
import { judge } from '../contract/validate.ts';

/** Each mends up to 50 places, which is what a judge tells at once. */
const mostRounds = 20;

/**
 * The output without the hidden texts, but with the words that its schema prescribes: a state, a kind, a name. Where a secret
 * is such a word, `running` or `container`, the word says nothing of it, and without it nobody could read the output at all.
 */
export function cleanOutput<Output>(schema: TSchema, output: Output, clean: <Value>(value: Value) => Value): Output {
  let cleaned = clean(output);
  for (let round = 0; output !== null && round < mostRounds; round += 1) {
    const judged = judge(schema, cleaned);
    if (judged.ok) {
      break;
    }
    for (const { path, code } of judged.errors) {
      const mend = code === 'maxLength' ? atMost : theWord;
      cleaned = mendAt(cleaned, output, path.split('/').slice(1), mend);
    }
  }
  return cleaned;
}

/** What stands for a hidden text may be longer than that was. */
const atMost = (cleaned: string, original: string) => cleaned.slice(0, original.length).toWellFormed();
const theWord = (_cleaned: string, original: string) => original;

/** Changes the text at this place; what is no text stays clean. */
function mendAt<Value>(value: Value, original: Value, path: readonly string[], mend: typeof atMost): Value {
  const [step, ...rest] = path;
  if (step === undefined) {
    return typeof value === 'string' && typeof original === 'string' ? (mend(value, original) as Value) : value;
  }
  const key = step.replaceAll('~1', '/').replaceAll('~0', '~') as keyof Value;
  if (typeof value !== 'object' || value === null || !(key in value)) {
    return value;
  }
  const inner = mendAt(value[key], original[key], rest, mend);
  return Array.isArray(value) ? (value.with(Number(key), inner) as Value) : { ...value, [key]: inner };
}
