/**
 * Text of a workload, a host or an engine as a page shows it: nothing in it colours, moves, hides or turns round what
 * stands beside it. What would is left out (terminal sequences) or made visible (everything else).
 */

/** CSI, OSC and the other escape sequences of terminals. Linear, whatever it is given. */
const sequences =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  /[\x1b\x9b](?:\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[[()#;?]{0,4}(?:[0-9;:?]{0,64}[ -/]{0,4}[@-~])?)/g;
/** Control characters, and those that hide or turn round what stands beside them. */
const steering = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;
/** The same, for one look: most lines hold none. */
const suspicious = new RegExp(steering.source, 'u');
const tab = '    ';

/** On one line: of a line that was overwritten (progress bars) the last state, tabs as spaces. */
export function cleanLine(text: string): string {
  if (!suspicious.test(text)) return text;
  return lastState(text.replaceAll(sequences, ''))
    .replaceAll('\t', tab)
    .replaceAll('\n', ' ')
    .replaceAll(steering, visible);
}

/** The same over several lines, which stay lines. */
export function cleanLines(text: string): string {
  return text.split(/\r?\n/).map(cleanLine).join('\n');
}

function lastState(text: string): string {
  if (!text.includes('\r')) return text;
  return text.split('\r').findLast((part) => part !== '') ?? '';
}

/** Control characters as their pictures, the others as `\u202e`. */
function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  return `\\u${code.toString(16).padStart(4, '0')}`;
}
