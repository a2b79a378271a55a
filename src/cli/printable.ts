/**
 * Makes text of a task or a workload harmless for a terminal: nothing in it may move the cursor, change colours, reverse
 * the reading direction, or pass for a line of our own.
 */

/** Control characters but tab and line feed, and those that change the direction of reading. */
const steering = /[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** With what would steer the terminal written as `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(steering, escaped);
}

/** On one line, whatever it held. */
export function oneLine(text: string): string {
  return printable(text.trimEnd()).replaceAll('\n', '\\n');
}

/** Each line behind the indent, so that none can pass for one of ours. */
export function indented(text: string, indent: string): string {
  return printable(text).replaceAll(/^/gm, indent);
}

/** JSON whose texts hold no character that steers a terminal; it parses to the same value. */
export function harmlessJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(steering, (character) => unicode(character));
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : unicode(character);
}

function unicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
