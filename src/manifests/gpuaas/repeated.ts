/** Entries of a list that must differ. */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { each } from '../sure-parts.ts';

/** Every entry whose `key` an earlier entry has already. */
export function repeated<K extends string>(
  list: readonly { readonly [key in K]: string | number }[],
  key: K,
  path: string,
): readonly PathError[] {
  const firstOf = new Map<string | number, number>();
  return each(list, (entry, index) => {
    const first = firstOf.get(entry[key]);
    firstOf.set(entry[key], first ?? index);
    return first === undefined
      ? []
      : [
          {
            path: `${path}/${index}/${pointerToken(key)}`,
            code: 'repeated',
            message: `is already that of ${path}/${first}`,
          },
        ];
  });
}
