/** Where in the text of a manifest the values stand that JSON pointers name: people look for a line, programs for a path. */

import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { keysOf } from '../contract/pointer.ts';

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

/**
 * The key, or entry of a list, that the pointer ends at; of what is missing, the part that it is missing from. Undefined
 * where the text has no such part, and for the whole document. Only for text that `readDocument` has accepted: nothing is
 * bounded here.
 */
export function locator(text: string): (pointer: string) => Position | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const step = (node: unknown, key: string): { at: unknown; value: unknown } => {
    const inside = isAlias(node) ? node.resolve(document) : node;
    if (isMap(inside)) {
      const pair = inside.items.find(({ key: name }) => isScalar(name) && String(name.value) === key);
      return { at: pair?.key, value: pair?.value };
    }
    const entry = isSeq(inside) ? inside.items[Number(key)] : undefined;
    return { at: entry, value: entry };
  };
  return (pointer) => {
    let node: unknown = document.contents;
    let offset: number | undefined;
    for (const key of keysOf(pointer)) {
      const { at, value } = step(node, key);
      if (!isNode(at) || !at.range) break;
      [offset] = at.range;
      node = value;
    }
    if (offset === undefined) return undefined;
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
}
