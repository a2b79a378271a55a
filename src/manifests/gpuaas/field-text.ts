/** Between what people type and what a field means. Whoever types is told what is wrong; nothing is guessed or cut. */
import type { FormField } from './form-model.ts';
import type { ParameterValue } from './judge-parameter.ts';

const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * The value that was typed or chosen. What is no number stays text, so that it is refused where a number is wanted.
 * Undefined for nothing, where nothing is an answer: the default counts then.
 */
export function valueOfText(
  { control, options }: FormField,
  text: string,
  required: boolean,
): ParameterValue | undefined {
  switch (control) {
    case 'switch':
      return ({ true: true, false: false } as Record<string, boolean>)[text] ?? text;
    case 'select':
      return options?.find((option) => String(option) === text) ?? (text === '' ? undefined : text);
    case 'integer':
    case 'number':
      return text.trim() === '' && !required ? undefined : numberOf(text);
    default:
      return text === '' && required ? undefined : text;
  }
}

function numberOf(text: string): number | string {
  const value = number.test(text.trim()) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : text;
}

export function textOfValue(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
