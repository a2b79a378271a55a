import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanLine, cleanLines } from '../../../../src/console/pages/instance/clean-text.ts';
import {
  gapLine,
  LogBuffer,
  type LogLine,
  lineOf,
  logText,
} from '../../../../src/console/pages/instance/log-buffer.ts';
import { columnsOf, LogRows } from '../../../../src/console/pages/instance/log-rows.ts';
import { LogSearch, piecesOf } from '../../../../src/console/pages/instance/log-search.ts';
import type { StreamedEntry } from '../../../../src/contract/session-messages.ts';
import { anyCharacter } from '../../../support/any-character.ts';

const time = '2026-11-25T12:00:00Z';

function entry(text: string, given: Partial<StreamedEntry> = {}): StreamedEntry {
  return { time, channel: 'stdout', text, encoding: 'utf8', partial: false, ...given };
}

function line(text: string, given: Partial<LogLine> = {}): LogLine {
  return { ...lineOf(entry(text)), ...given };
}

function bufferOf(texts: readonly string[], capacity?: number): LogBuffer {
  const buffer = new LogBuffer(capacity);
  for (const text of texts) buffer.append(line(text));
  return buffer;
}

describe('a line of a log', () => {
  it.each([
    ['colours', '\u001b[1;31merror\u001b[0m: no', 'error: no'],
    ['a title of the terminal', '\u001b]0;owned\u0007text', 'text'],
    ['a link of the terminal', '\u001b]8;;https://evil.example\u001b\\here\u001b]8;;\u001b\\', 'here'],
    ['a progress bar', '10%\r50%\r100%\r', '100%'],
    ['tabs', 'a\tb', 'a    b'],
    ['a bell and a null', 'a\u0007b\u0000', 'a\u2407b\u2400'],
    ['text that reads the other way', 'exe.\u202etxt', 'exe.\\u202etxt'],
    ['characters of no width', 'pass\u200bword', 'pass\\u200bword'],
    ['markup, which is text', '<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
  ])('shows %s harmless', (_, text, shown) => {
    expect(cleanLine(text)).toBe(shown);
  });

  it('never holds anything that steers, whatever was written', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 200 }), (text) => {
        expect(cleanLine(text)).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
        expect(cleanLines(text)).not.toMatch(/[^\P{Cc}\n]/u);
      }),
    );
  });

  it('that is no text shows a replacement for each byte, and a task log its words first', () => {
    expect(lineOf(entry(Buffer.from([0x61, 0xff, 0x62]).toString('base64'), { encoding: 'base64' })).text).toBe(
      'a\ufffdb',
    );
    const said = JSON.stringify({
      level: 'info',
      time,
      task_id: 't1',
      channel: 'stdout',
      text: 'Collecting',
      msg: 'installer output',
    });
    expect(lineOf(entry(said, { channel: 'task' })).text).toBe('installer output: Collecting  channel=stdout');
    expect(lineOf(entry('{"cut', { channel: 'task' })).text).toBe('{"cut');
  });
});

describe('the buffer of a log', () => {
  it('holds fewer lines where a workload writes long ones, and always the last', () => {
    const buffer = new LogBuffer(10, 100);
    for (const text of ['x'.repeat(40), 'y'.repeat(40), 'z'.repeat(40)]) buffer.append(line(text));
    const two = [...buffer.lines()].map(({ text }) => text[0]);
    const search = new LogSearch(buffer, 'x');
    search.look(10);
    buffer.append(line('w'.repeat(1000)));

    expect(two).toEqual(['y', 'z']);
    expect([search.count, buffer.at(0)]).toEqual([0, undefined]);
    expect([...buffer.lines()].map(({ text }) => text[0])).toEqual(['w']);
    expect([buffer.first, buffer.end]).toEqual([3, 4]);
    for (let number = 0; number < 20; number += 1) buffer.append(line('s'));
    expect(buffer.size).toBe(10);
  });

  it('keeps the last 100,000 lines, each under its number', () => {
    const buffer = new LogBuffer();
    for (let number = 0; number < 100_003; number += 1) buffer.append(line(`line ${number}`));

    expect([buffer.first, buffer.end, buffer.size]).toEqual([3, 100_003, 100_000]);
    expect(buffer.at(2)).toBeUndefined();
    expect(buffer.at(3)?.text).toBe('line 3');
    expect(buffer.at(100_002)?.text).toBe('line 100002');
    expect(buffer.at(100_003)).toBeUndefined();
  });

  it('becomes a file with the lines as they were written, pieces put together, gaps said', () => {
    const lines = [
      line('\u001b[31mred'),
      ...[line('one ', { partial: true }), line('oops', { channel: 'stderr' }), line('two')],
      gapLine(3, time),
      line('of a service', { service: 'api' }),
      line('open', { partial: true }),
    ];

    expect(logText(lines).split('\n')).toEqual([
      ...['\u001b[31mred', 'oops', 'one two', '[3 lines are missing here: they were gone before anybody read them.]'],
      ...['api | of a service', 'open', ''],
    ]);
  });
});

describe('the rows of a log', () => {
  it('are one a line without wrapping, and keep their numbers while lines go', () => {
    const buffer = bufferOf(['a', 'b', 'c'], 3);
    const rows = new LogRows(buffer, Number.POSITIVE_INFINITY);
    buffer.append(line('d'));
    rows.count();

    expect([rows.first, rows.end]).toEqual([1, 4]);
    expect(rows.between(0, 10).map(({ row, line: number }) => [row, number])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it('are as many as a wrapped line needs, wide characters counted twice', () => {
    const rows = new LogRows(bufferOf(['x'.repeat(45), '', '漢'.repeat(15)]), 20);

    expect(rows.between(0, 100)).toEqual([
      ...[
        { row: 0, line: 0, from: 0, to: 20 },
        { row: 1, line: 0, from: 20, to: 40 },
        { row: 2, line: 0, from: 40, to: 45 },
      ],
      { row: 3, line: 1, from: 0, to: 0 },
      ...[
        { row: 4, line: 2, from: 0, to: 10 },
        { row: 5, line: 2, from: 10, to: 15 },
      ],
    ]);
    expect(rows.rowOf(2)).toBe(4);
  });

  it('show every line once, in order, cut nowhere within a character, at any width and after any loss', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 90 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        texts,
        fc.integer({ min: 20, max: 60 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 400 }),
        (all, columns, capacity, characters) => {
          const buffer = new LogBuffer(capacity, characters);
          const rows = new LogRows(buffer, columns);
          for (const text of all) {
            buffer.append(line(text));
            rows.count();
          }

          const shown = rows.between(rows.first, rows.end);

          expect(shown.map(({ row }) => row)).toEqual(shown.map((_, index) => rows.first + index));
          expect(rows.first + shown.length).toBe(rows.end);
          const texts = [...buffer.lines()].map(({ text }) => text);
          const pieces = shown.map(({ line: number, from, to }) => (buffer.at(number)?.text ?? '').slice(from, to));
          expect(pieces.join('')).toBe(texts.join(''));
          for (const piece of pieces) expect(columnsOf(piece)).toBeLessThanOrEqual(columns);
          for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
        },
      ),
    );
  });
});

describe('the search of a log', () => {
  it('finds lines whatever their case, goes round both ways, and says which it is at', () => {
    const search = new LogSearch(bufferOf(['Error one', 'fine', 'an ERROR', 'error']), 'error');

    expect(search.look(1000)).toBe(false);
    expect(search.count).toBe(3);
    expect([search.after(-1), search.after(0), search.after(2), search.after(3)]).toEqual([0, 2, 3, 0]);
    expect([search.before(3), search.before(2), search.before(0)]).toEqual([2, 0, 3]);
    expect([search.placeOf(2), search.placeOf(1), search.placeOf(undefined)]).toEqual([2, 0, 0]);
  });

  it('looks piece by piece, goes on with what comes, and forgets what is gone', () => {
    const buffer = bufferOf(['hit', 'hit', 'hit'], 3);
    const search = new LogSearch(buffer, 'hit');

    expect(search.look(2)).toBe(true);
    expect(search.count).toBe(2);
    buffer.append(line('hit'));
    expect(search.look(10)).toBe(false);
    expect(search.count).toBe(3);
    expect(search.after(-1)).toBe(1);
  });

  it('finds nothing for nothing', () => {
    const search = new LogSearch(bufferOf(['a']), '');

    expect([search.look(10), search.count, search.after(-1)]).toEqual([false, 0, undefined]);
  });

  it('marks hits within a line, also over the edge of a row and where small letters are longer', () => {
    expect(piecesOf('an Error, an error', 'ERROR')).toEqual([
      ...[
        { text: 'an ', isHit: false },
        { text: 'Error', isHit: true },
      ],
      ...[
        { text: ', an ', isHit: false },
        { text: 'error', isHit: true },
      ],
    ]);
    expect(piecesOf('abcdef', 'cd', 0, 3)).toEqual([
      { text: 'ab', isHit: false },
      { text: 'c', isHit: true },
    ]);
    expect(piecesOf('abcdef', 'cd', 3, 6)).toEqual([
      { text: 'd', isHit: true },
      { text: 'ef', isHit: false },
    ]);
    expect(piecesOf('İİ error', 'error').at(-1)).toEqual({ text: 'error', isHit: true });
    expect(piecesOf('abc', '')).toEqual([{ text: 'abc', isHit: false }]);
  });

  it('shows the whole text of any row, once', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 60 }),
        fc.string({ maxLength: 3 }),
        fc.nat(60),
        fc.nat(60),
        (text, query, one, other) => {
          const [from, to] = [Math.min(one, other, text.length), Math.min(Math.max(one, other), text.length)];

          expect(
            piecesOf(text, query, from, to)
              .map((piece) => piece.text)
              .join(''),
          ).toBe(text.slice(from, to));
        },
      ),
    );
  });
});
