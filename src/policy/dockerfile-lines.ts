/**
 * A Dockerfile as its instructions, one a line: comments and continuations are gone. What two versions of a builder read in
 * different ways is refused.
 */

export interface DockerfileError {
  /** Counted from 1. */
  readonly line: number;
  readonly code: string;
  /** A clause about the line. */
  readonly message: string;
}

export interface Instruction {
  readonly line: number;
  /** Upper case. */
  readonly keyword: string;
  /** All behind the keyword, without spaces at its ends. */
  readonly text: string;
}

/** What a Dockerfile is called in the tar that a build is given. */
export const dockerfileEntry = '.gpuaas.Dockerfile';

export const maxDockerfileBytes = 1024 * 1024;
/** More than any builder makes layers of. A stage is looked up among all before it, so their number bounds what reading costs. */
const maxInstructions = 1000;
export const maxErrors = 1000;

const directive = /^#\s*(syntax|escape|check)\s*=/i;
const continued = /\\[ \t]*$/;
/** One builder takes the last of them as a continuation, the other does not. */
const ambiguous = /\\\\[ \t]*$/;
/** Also those that some programs take for the end of a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const controlCharacter = /[\u0000-\u0008\u000a-\u001f\u007f\u0085\u2028\u2029\ufeff\ufffd]/;
/** True for what can stand in a Dockerfile, quoted. */
export function isOneLine(text: string): boolean {
  return !controlCharacter.test(text) && text.isWellFormed();
}

/** A builder reads no longer line. In bytes. */
export const maxLineBytes = 65_535;

/** A word that begins a here-document, where a builder knows those. */
const hereDocument = /(?:^|\s)\d*<<-?[^<\s]/;

/**
 * True where a builder may take lines behind the instruction for a here-document. A RUN that is a list in JSON has none; what is no
 * such list as a whole is for a shell, whatever it begins with.
 */
export function hasHereDocument(keyword: string, text: string): boolean {
  if (!['RUN', 'COPY', 'ADD'].includes(keyword) || !hereDocument.test(text)) return false;
  return keyword !== 'RUN' || !isWordList(text);
}

function isWordList(text: string): boolean {
  if (!text.startsWith('[')) return false;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((word) => typeof word === 'string');
  } catch {
    return false;
  }
}

export function readInstructions(text: string): { instructions: Instruction[]; errors: DockerfileError[] } {
  const instructions: Instruction[] = [];
  const errors: DockerfileError[] = [];
  if (Buffer.byteLength(text) > maxDockerfileBytes) {
    return { instructions, errors: [{ line: 1, code: 'too_large', message: 'is of a file of more than 1 MiB' }] };
  }
  const lines = text.replace(/\r\n/g, '\n').split('\n');
  let open: { line: number; text: string } | undefined;
  const end = () => {
    if (open) instructions.push(...split(open, errors));
    open = undefined;
  };
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    if (instructions.length > maxInstructions || errors.length > maxErrors) {
      const message = `is where reading ends: there are more than ${maxInstructions} instructions, or faults, before it`;
      errors.push({ line, code: 'too_many', message });
      return { instructions, errors };
    }
    if (controlCharacter.test(raw))
      errors.push({ line, code: 'character', message: 'has a character that no text has' });
    const trimmed = raw.trim();
    if (trimmed.startsWith('#')) {
      const [, name] = directive.exec(trimmed) ?? [];
      if (name !== undefined && instructions.length === 0 && !open) {
        errors.push({ line, code: 'directive', message: `says how it is to be read, with ${name}: leave it out` });
      }
      continue;
    }
    if (trimmed === '') continue;
    if (ambiguous.test(raw)) {
      errors.push({ line, code: 'escape', message: 'ends with two backslashes, which builders read differently' });
    }
    open ??= { line, text: '' };
    open.text += raw.replace(continued, '');
    if (!continued.test(raw)) end();
  }
  end();
  return { instructions, errors };
}

function split({ line, text }: { line: number; text: string }, errors: DockerfileError[]): Instruction[] {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(text.trim()) ?? [];
  if (word === '') return [];
  const keyword = word.toUpperCase();
  if (rest === '') errors.push({ line, code: 'empty', message: `has nothing behind ${keyword}` });
  if (hasHereDocument(keyword, rest.trim())) {
    errors.push({ line, code: 'heredoc', message: 'has a here-document: put it into a file of the context' });
  }
  // A space that is none to a builder stands behind it.
  if (rest.trim().endsWith('\\')) {
    errors.push({ line, code: 'escape', message: 'ends with a backslash and a space that builders read differently' });
  }
  return [{ line, keyword, text: rest.trim() }];
}
