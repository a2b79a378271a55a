/**
 * Labels that a Dockerfile sets. Each layer behind them has them all, and the engine says them wherever it says the layer: so they have an
 * end, in number and together. Names are plain, so that nobody sets one of ours.
 */
import { splitWords } from './dockerfile-words.ts';

/** Of a file. */
const maxLabels = 128;
/** Characters of all of a file together, with all values put in. */
const maxTogether = 16 * 1024;
/** Bytes of labels of all layers of a build, those that they have from an image among them. */
const maxOnLayers = 16 * 1024 * 1024;

/** What is there for the labels of hosts alone. */
const reserved = /^gpuaas\./i;
/** As one that is quoted in part, or made of values, would be read by a builder. */
const name = /^(?:"([^\s"'\\$=]+)"|([^\s"'\\$=]+))/;
/** One that every builder ends in the same place. */
const value = /^=(?:"(?:\\.|[^"\\])*"|'[^'\\]*'|\\.|[^\s"'\\])*$/;

export class LabelLengths {
  #count = 0;
  #together = 0;

  /** What is wrong with the text of a LABEL, as a clause. `length`: of it with all values put in. */
  add(text: string, length: number): string | undefined {
    const names = text.length > maxTogether ? [] : namesOf(text);
    if (!names) return 'names a label in a form that is not understood';
    if (names.some((each) => reserved.test(each))) return 'sets a label gpuaas.*, which are for hosts alone';
    this.#count += names.length;
    this.#together += Math.max(length, text.length);
    if (this.#count > maxLabels) return `sets more than ${maxLabels} labels with those before it`;
    if (this.#together > maxTogether) return `makes all labels together longer than ${maxTogether} characters`;
    return undefined;
  }

  /** What is wrong with so many instructions behind each other, as a clause. `inherited`: bytes of labels that their image has. */
  onLayers(instructions: number, inherited: number): string | undefined {
    return (inherited + this.#together) * instructions > maxOnLayers
      ? `has too many instructions on an image with ${inherited} bytes of labels, which each layer repeats`
      : undefined;
  }
}

/** Undefined where builders may read it in different ways. */
function namesOf(text: string): string[] | undefined {
  const old = /^([^\s"'\\$=]+)[ \t]/.exec(text)?.[1];
  if (old !== undefined) return [old];
  const words = splitWords(text)?.map((word) => {
    const found = name.exec(word);
    return found && value.test(word.slice(found[0].length)) ? (found[1] ?? found[2]) : undefined;
  });
  return words?.every((each) => each !== undefined) ? words : undefined;
}
