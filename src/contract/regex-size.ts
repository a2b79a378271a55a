/** How large the program of an expression may become, told from its text: making it takes time and memory like that. */

/** Of one expression. */
export const maxRegexSize = 32_768;

/**
 * Never less than the steps of the program that the expression becomes. A count repeats what is before it; only what is around it
 * multiplies that, and that ends in a parenthesis, or in the end of a quotation that hides one.
 */
export function regexSize(text: string): number {
  let largest = 1;
  let around = 1;
  for (const [whole, from, to = ''] of text.matchAll(/[^{]?\{(\d+)(?:,(\d*))?\}/g)) {
    const count = Math.max(1, Number(from), Number(to));
    if (whole.startsWith(')') || whole.startsWith('E')) around *= count;
    else largest = Math.max(largest, count);
  }
  return text.length * largest * around;
}
