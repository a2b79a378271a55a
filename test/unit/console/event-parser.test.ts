import fc from 'fast-check';
import { expect, it } from 'vitest';
import { eventParser } from '../../../src/console/lib/event-parser.ts';

it('reads messages with their id, and leaves comments out', () => {
  const parse = eventParser();

  expect(parse(': connected\n\nid: 7\nevent: node.enrolled\ndata: {"seq":7}\n\n')).toEqual([
    { event: 'node.enrolled', id: '7', data: '{"seq":7}' },
  ]);
});

it('calls what has no name a message, and joins its lines', () => {
  expect(eventParser()('data: a\ndata:b\n\n')).toEqual([{ event: 'message', id: '', data: 'a\nb' }]);
});

it('keeps the id for messages that bring none', () => {
  const parse = eventParser();

  const messages = parse('id: 1\ndata: a\n\ndata: b\n\n');

  expect(messages.map(({ id }) => id)).toEqual(['1', '1']);
});

it('gives nothing before a message has ended', () => {
  const parse = eventParser();

  expect(parse('data: a\n')).toEqual([]);
  expect(parse('\n')).toEqual([{ event: 'message', id: '', data: 'a' }]);
});

it('reads the same however the text is cut, whatever ends its lines', () => {
  const piece = fc.tuple(fc.constantFrom('id: 3', 'event: x', 'data: ä{"a":1}', 'data:', ': still here', ''), ending());
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.nat(40)), (lines, cuts) => {
      const text = lines.map(([line, end]) => line + end).join('');
      const parse = eventParser();

      const whole = eventParser()(text);

      expect(piecesOf(text, cuts).flatMap(parse)).toEqual(whole);
    }),
  );
});

function ending() {
  return fc.constantFrom('\n', '\r\n');
}

function piecesOf(text: string, cuts: readonly number[]): string[] {
  const pieces: string[] = [];
  let rest = text;
  for (const cut of cuts) {
    pieces.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...pieces, rest];
}
