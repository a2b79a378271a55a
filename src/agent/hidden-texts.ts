/**
 * The secrets that a task has opened, and what takes them out of texts: as they are, as they stand in a JSON text and in
 * a URL, and in the encodings that a program prints without meaning to tell them.
 *
 * A secret that is cut in two is not recognised, so whole texts are cleaned, and what comes in pieces is held back at
 * their borders.
 */

/** Shorter texts are no secrets, and taking them out would shred everything else. */
const shortestSecret = 6;
/** Bytes; what encodes fewer looks too much like everything else. */
const shortestEncoded = 8;
const redacted = '[redacted]';

export class HiddenTexts {
  readonly #secrets = new Set<string>();
  /** The longest first: it may contain another one. */
  #texts: readonly string[] = [];

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  /** Keeps this text out of what is cleaned from now on. */
  hide(secret: string): void {
    if (this.#secrets.has(secret)) {
      return;
    }
    this.#secrets.add(secret);
    const lines = secret.split(/\r?\n/);
    const texts = new Set([...this.#texts, ...[secret, ...lines].flatMap(spellings)]);
    // Not of each line: of a long key that would be thousands of texts to look for.
    for (const whole of new Set([secret, secret.trim()])) {
      for (const encoded of encodings(whole)) texts.add(encoded);
    }
    this.#texts = [...texts].sort((a, b) => b.length - a.length);
  }

  /** A copy of a JSON value with the hidden texts taken out of every string in it; keys and everything else stay. */
  clean<T>(value: T): T {
    return this.isEmpty ? value : (withoutTexts(value, this.#texts) as T);
  }

  /** Like `clean`, for the end of a text: it may begin within a hidden one. */
  cleanTail(text: string): string {
    return this.clean(withoutHead(text, this.#texts));
  }

  /** Cleans a text that comes in pieces. It may begin within a hidden text if its beginning is not `known`. */
  pieces({ known }: { readonly known: boolean }): CleanPieces {
    let held = '';
    let begun = known;
    const whole = (): string => {
      const text = begun ? held : withoutHead(held, this.#texts);
      begun = true;
      return text;
    };
    return {
      push: (piece) => {
        held += piece;
        const longest = this.#texts[0]?.length ?? 0;
        if (held.length <= longest) {
          return '';
        }
        // What is held back is clean, too, and what of it may be the beginning of a hidden text is as it came.
        const text = this.clean(whole());
        const cut = borderBefore(text, text.length - longest);
        held = text.slice(cut);
        return text.slice(0, cut);
      },
      end: ({ cut }) => {
        const text = this.clean(whole());
        held = '';
        return cut ? withoutFoot(text, this.#texts) : text;
      },
    };
  }
}

export interface CleanPieces {
  /** What is certain of the text so far and was not given yet. */
  push(piece: string): string;
  /** The rest. It may end within a hidden text if it was `cut`. */
  end(how: { readonly cut: boolean }): string;
}

function spellings(text: string): string[] {
  if (text.length < shortestSecret) {
    return [];
  }
  return [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text.toWellFormed())];
}

/** Worked out once for each secret: cleaning looks for fixed texts only. */
function encodings(text: string): string[] {
  const bytes = Buffer.from(text);
  if (bytes.length < shortestEncoded) {
    return [];
  }
  const inUrl = encodeURIComponent(text.toWellFormed());
  const strict = inUrl.replace(/[!'()*]/g, (character) => `%${Buffer.from(character).toString('hex')}`);
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((offset) => base64Within(bytes, offset));
  return [
    // As one writes it in a path and in a form, and with every byte escaped.
    ...[inUrl, strict, inUrl.replaceAll('%2F', '/'), inUrl.replaceAll('%20', '+'), hex.replace(/../g, '%$&')].flatMap(
      bothCases,
    ),
    ...[hex, hex.toUpperCase()],
    ...base64,
    ...base64.map((encoded) => encoded.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

/** A URL in both cases of its escapes. */
function bothCases(url: string): string[] {
  return [url.replace(/%../g, (code) => code.toUpperCase()), url.replace(/%../g, (code) => code.toLowerCase())];
}

/** What the base64 of every text has that holds these bytes so many bytes behind a multiple of three. */
function base64Within(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

function withoutTexts(value: unknown, texts: readonly string[]): unknown {
  if (typeof value === 'string') {
    return texts.reduce((rest, text) => (rest.length < text.length ? rest : rest.replaceAll(text, redacted)), value);
  }
  if (Array.isArray(value)) {
    return value.map((each) => withoutTexts(each, texts));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutTexts(inner, texts)]));
  }
  return value;
}

/** Without the end of a hidden text where the text begins. */
function withoutHead(text: string, texts: readonly string[]): string {
  const head = text.slice(0, shortestSecret);
  let longest = 0;
  for (const hidden of head.length < shortestSecret ? [] : texts) {
    for (let from = hidden.indexOf(head, 1); from !== -1; from = hidden.indexOf(head, from + 1)) {
      if (text.startsWith(hidden.slice(from))) longest = Math.max(longest, hidden.length - from);
    }
  }
  return longest === 0 ? text : redacted + text.slice(longest);
}

/** Without the beginning of a hidden text where the text ends. */
function withoutFoot(text: string, texts: readonly string[]): string {
  const foot = text.slice(-shortestSecret);
  let longest = 0;
  for (const hidden of foot.length < shortestSecret ? [] : texts) {
    for (let at = hidden.indexOf(foot); at !== -1; at = hidden.indexOf(foot, at + 1)) {
      const until = at + shortestSecret;
      if (text.endsWith(hidden.slice(0, until))) longest = Math.max(longest, until);
    }
  }
  return longest === 0 ? text : text.slice(0, -longest) + redacted;
}

/** At most `index`, and not within a character. */
function borderBefore(text: string, index: number): number {
  const at = Math.max(0, index);
  return /^[\uDC00-\uDFFF]/.test(text.slice(at, at + 1)) && at > 0 ? at - 1 : at;
}
