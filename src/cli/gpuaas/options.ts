/** Options that many commands have, and what is made of their values. */
import { InvalidArgumentError, Option } from 'commander';
import type { Json } from '../../contract/failures.ts';

export const json = ['--json', 'machine-readable output, errors included', false] as const;

/** Of what belongs to a project; a shell of somebody whose token belongs to none may name it once for all. */
export function projectOption(): Option {
  const about = 'its project; needed only with a token that belongs to none (admin, operator)';
  return new Option('--project <id>', about).env('GPUAAS_PROJECT');
}

/** Without the keys that nobody gave. */
export function given(body: Readonly<Record<string, Json | undefined>>): Json {
  return Object.fromEntries(Object.entries(body).filter((pair): pair is [string, Json] => pair[1] !== undefined));
}

export function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new InvalidArgumentError('It must be a whole number.');
  }
  return Number(text);
}

export function atLeastOne(text: string): number {
  const count = whole(text);
  if (count === 0) throw new InvalidArgumentError('It must be 1 at least.');
  return count;
}

export function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It must be a number.');
  }
  return value;
}
