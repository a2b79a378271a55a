import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HiddenTexts } from '../../../src/agent/hidden-texts.ts';

const secret = 'q7Zt-Plain/Secret+Value (01)?ä~';
const bytes = Buffer.from(secret);

function hiding(...secrets: (string | Buffer)[]): HiddenTexts {
  const hidden = new HiddenTexts();
  for (const each of secrets) {
    hidden.hide(each);
  }
  return hidden;
}

function inPieces(hidden: HiddenTexts, pieces: readonly string[], { known = true, cut = false } = {}): string {
  const cleaning = hidden.pieces({ known });
  return pieces.map((piece) => cleaning.push(piece)).join('') + cleaning.end({ cut });
}

describe('a hidden text', () => {
  const inUrl = encodeURIComponent(secret);
  const escaped = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

  it.each([
    ['as it is', secret],
    ['in hex', bytes.toString('hex')],
    ['in hex of large letters', bytes.toString('hex').toUpperCase()],
    ['in a URL', inUrl],
    ['in a URL with escapes of small letters', inUrl.replace(/%../g, (code) => code.toLowerCase())],
    ['in a path', inUrl.replaceAll('%2F', '/')],
    ['in a form', inUrl.replaceAll('%20', '+')],
    ['in a strict URL', inUrl.replaceAll('(', '%28').replaceAll(')', '%29')],
    ['with every byte escaped', escaped],
    ['with every byte escaped in large letters', escaped.toUpperCase()],
  ])('is taken out %s', (_how, written) => {
    expect(hiding(secret).clean(`before ${written} behind`)).toBe('before [redacted] behind');
  });

  it.each(['base64', 'base64url'] as const)('is taken out in %s, whatever stands before and behind it', (encoding) => {
    for (const before of ['', 'u', 'u:', 'us:', 'user:']) {
      for (const behind of ['', '\n', 'ab', 'abc']) {
        const encoded = Buffer.from(before + secret + behind).toString(encoding);
        const cleaned = hiding(secret).clean(`Basic ${encoded}.`);

        // What the neighbours share with the secret: two characters at each border, and the padding.
        const left = cleaned.replace(/^Basic /, '').split('[redacted]');
        expect(left).toHaveLength(2);
        expect(left.join('').length).toBeLessThanOrEqual(Math.ceil((before.length + behind.length) * 1.4) + 6);
      }
    }
  });

  it('is taken out encoded with and without the end of its line', () => {
    const hidden = hiding(`${secret}\n`);

    expect(hidden.clean(bytes.toString('hex'))).toBe('[redacted]');
    expect(hidden.clean(Buffer.from(`${secret}\n`).toString('hex'))).toBe('[redacted]');
  });

  it('is not looked for in encodings where it is short', () => {
    const short = Buffer.from('c4nary7').toString('hex');

    expect(hiding('c4nary7').clean(`${short} c4nary7`)).toBe(`${short} [redacted]`);
  });

  it('is worked out once', () => {
    const hidden = hiding(secret);
    const texts = hidden.clean([secret, inUrl]);
    hidden.hide(secret);

    expect(hidden.clean([secret, inUrl])).toEqual(texts);
  });
});

describe('a hidden secret that is no text', () => {
  const binary = Buffer.from('00ff8041424344e282fe0d7f20c3', 'hex');
  const escaped = [...binary].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

  it.each([
    ['as a terminal shows it', binary.toString()],
    ['byte by byte', binary.toString('latin1')],
    ['in JSON, byte by byte', JSON.stringify(binary.toString('latin1')).slice(1, -1)],
    ['in hex', binary.toString('hex')],
    ['in hex of large letters', binary.toString('hex').toUpperCase()],
    ['with every byte escaped', escaped],
    ['with every byte escaped in large letters', escaped.toUpperCase()],
    ['in a URL', '%00%FF%80ABCD%E2%82%FE%0D%7F%20%C3'],
    ['in a form', '%00%ff%80ABCD%e2%82%fe%0d%7f+%c3'],
  ])('is taken out %s', (_how, written) => {
    expect(hiding(binary).clean(`before ${written} behind`)).toBe('before [redacted] behind');
  });

  it.each(['base64', 'base64url'] as const)('is taken out in %s', (encoding) => {
    for (const before of ['', 'u', 'u:']) {
      const encoded = Buffer.concat([Buffer.from(before), binary]).toString(encoding);

      expect(hiding(binary).clean(encoded).replace('[redacted]', '').length).toBeLessThanOrEqual(6);
    }
  });
});

describe('a hidden secret of many lines', () => {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const lines = String(key).trim().split('\n');

  it.each([
    ['as it is', String(key), '[redacted]'],
    ['in JSON', JSON.stringify(key), '"[redacted]"'],
    ['with other ends of lines', lines.join('\r\n'), lines.map(() => '[redacted]').join('\r\n')],
    ['behind something else in each line', lines.map((line) => `  12 | ${line}`).join('\n'), undefined],
    ['all in one line', lines.join(''), undefined],
  ])('is taken out %s', (_how, written, expected) => {
    const cleaned = hiding(Buffer.from(key)).clean(written);

    // The last line of a key may be too short to be told from anything else.
    for (const line of lines.filter(({ length }) => length > 5)) expect(cleaned).not.toContain(line);
    if (expected !== undefined && lines.every(({ length }) => length > 5)) expect(cleaned).toBe(expected);
  });

  it.each([64, 76])('is taken out in base64 that is broken into lines of %d', (width) => {
    const encoded = Buffer.from(key).toString('base64');
    const broken = encoded
      .replace(new RegExp(`.{${width}}`, 'g'), '$&\n')
      .trimEnd()
      .split('\n');

    expect(broken.length).toBeGreaterThan(20);
    for (const line of broken.slice(0, -1)) expect(hiding(Buffer.from(key)).clean(line)).toBe('[redacted]');
  });
});

describe('a hidden URL', () => {
  it('is taken out with its password alone, as it stands there and as it is meant', () => {
    const hidden = hiding('https://robot:pa%24sw0rd%21@packages.example/simple');

    expect(hidden.clean('login of robot with pa%24sw0rd%21')).toBe('login of robot with [redacted]');
    expect(hidden.clean('login with pa$sw0rd! refused')).toBe('login with [redacted] refused');
    expect(hidden.clean(`Basic ${Buffer.from('robot:pa$sw0rd!').toString('base64')}`)).not.toContain('YSRzdzByZCE');
    expect(hidden.clean('https://packages.example/simple')).toBe('https://packages.example/simple');
  });
});

describe('a text that comes in pieces', () => {
  it('is clean as if it were one, wherever it is cut', () => {
    const words = fc.constantFrom('a', ' ', '😀', 'é', 'q7Zt', secret, secret.slice(0, 9), bytes.toString('base64'));

    fc.assert(
      fc.property(fc.array(words, { maxLength: 30 }), fc.array(fc.nat(200), { maxLength: 8 }), (parts, cuts) => {
        const text = parts.join('');
        const borders = [0, ...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length];
        const pieces = borders.slice(1).map((end, index) => text.slice(borders[index], end));

        expect(inPieces(hiding(secret), pieces)).toBe(hiding(secret).clean(text));
      }),
      { numRuns: 300 },
    );
  });

  it('loses a hidden text with all of it, also where another one is its beginning', () => {
    const [short, long] = ['password', 'password-of-2026'];
    const text = `${'.'.repeat(40)}${long}${'.'.repeat(40)}`;

    for (let cut = 1; cut < text.length; cut += 1) {
      expect(inPieces(hiding(short, long), [text.slice(0, cut), text.slice(cut)])).toBe(
        `${'.'.repeat(40)}[redacted]${'.'.repeat(40)}`,
      );
    }
  });

  it('is given at once but for the length of the longest hidden text', () => {
    const cleaning = hiding('0123456789').pieces({ known: true });

    expect(cleaning.push('x'.repeat(1000)).length).toBeGreaterThan(900);
    expect(hiding().pieces({ known: true }).push('all of it')).toBe('all of it');
  });

  it('never breaks a character in two', () => {
    const cleaning = hiding('0123456789').pieces({ known: true });

    for (const text of ['😀'.repeat(50), 'a', '😀'.repeat(50)]) {
      expect(cleaning.push(text).isWellFormed()).toBe(true);
    }
  });

  it('loses the half of a secret with which it begins, unless its beginning is known', () => {
    const half = secret.slice(9);

    expect(inPieces(hiding(secret), [half.slice(0, 5), `${half.slice(5)} rest`], { known: false })).toBe(
      '[redacted] rest',
    );
    expect(inPieces(hiding(secret), [`${half} rest`])).toBe(`${half} rest`);
    expect(inPieces(hiding(secret), ['Value of a thing'], { known: false })).toBe('Value of a thing');
  });

  it('loses the half of a secret with which it breaks off', () => {
    const half = secret.slice(0, 9);

    expect(inPieces(hiding(secret), [`begins ${half}`], { cut: true })).toBe('begins [redacted]');
    expect(inPieces(hiding(secret), [`begins ${half}`])).toBe(`begins ${half}`);
  });
});
