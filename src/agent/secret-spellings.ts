/** How a secret can stand in a text: as it is, line by line, in JSON, in a URL, and in the usual encodings of its bytes. */
import { isUtf8 } from 'node:buffer';
import { unescape as unescaped } from 'node:querystring';

/** Bytes; what encodes fewer looks too much like everything else. */
const shortestEncoded = 8;
/** Characters of a line in which programs break what they encode: PEM, and MIME or `base64`. */
const wrapped = [64, 76];

/** Worked out once for each secret, so that cleaning looks for fixed texts only. Short ones may be among them. */
export function textsOf(secret: string | Buffer): Set<string> {
  const bytes = Buffer.from(secret);
  const readings = readingsOf(secret);
  // What is no text is trimmed as bytes, too.
  const trimmed = isUtf8(bytes) ? Buffer.from(bytes.toString().trim()) : latin1(bytes.toString('latin1').trim());
  return new Set([
    ...readings.flatMap((text) => [text, ...text.split(/[\r\n]+/).map((line) => line.trim())]).flatMap(spellings),
    ...readings.flatMap(passwordsIn).flatMap((password) => [...textsOf(password)]),
    // Not of each line: of a long key that would be thousands of texts to keep.
    ...[bytes, trimmed].flatMap(encodings),
  ]);
}

/** What is no UTF-8 is printed with replacement characters, or byte by byte. */
function readingsOf(secret: string | Buffer): string[] {
  if (typeof secret === 'string') {
    return [secret];
  }
  return isUtf8(secret) ? [secret.toString()] : [secret.toString(), secret.toString('latin1')];
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function spellings(text: string): string[] {
  return [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text.toWellFormed())];
}

/** Of a URL that is secret for its user info only: programs print the rest of it, and that one elsewhere. */
function passwordsIn(text: string): string[] {
  const found = [...text.matchAll(/:\/\/[^\s/:@]*:([^\s/@]+)@/g)].map(([, password = '']) => password);
  return found.flatMap((password) => [password, unescaped(password)]);
}

function encodings(bytes: Buffer): string[] {
  if (bytes.length < shortestEncoded) {
    return [];
  }
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((offset) => base64Within(bytes, offset));
  const inUrl = percent(bytes, /[^\w.!~*'()-]/g);
  return [
    // As one writes it in a path and in a form, and with every byte escaped.
    ...[inUrl, percent(bytes, /[^\w.~-]/g), inUrl.replaceAll('%2F', '/'), inUrl.replaceAll('%20', '+')].flatMap(
      bothCases,
    ),
    ...bothCases(percent(bytes, /./gs)),
    ...[hex, hex.toUpperCase()],
    ...base64,
    ...base64.map((encoded) => encoded.replaceAll('+', '-').replaceAll('/', '_')),
    ...wrapped.flatMap((width) => linesOf(bytes.toString('base64'), width)),
  ];
}

/** The bytes as characters, those of `escaped` as %XX. */
function percent(bytes: Buffer, escaped: RegExp): string {
  const code = (character: string) => `%${latin1(character).toString('hex').toUpperCase()}`;
  return bytes.toString('latin1').replace(escaped, code);
}

/** A URL in both cases of its escapes. */
function bothCases(url: string): string[] {
  return [url, url.replace(/%../g, (code) => code.toLowerCase())];
}

/** What the base64 of every text has that holds these bytes so many bytes behind a multiple of three. */
function base64Within(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

/** A long text in lines of this width; nothing where it is one line. */
function linesOf(text: string, width: number): string[] {
  const lines = text.match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
  return lines.length > 1 ? lines.filter((line) => line.length >= shortestEncoded) : [];
}
