import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { streamedEntry } from '../../../../src/agent/logs/streamed-entry.ts';
import { StreamedEntry } from '../../../../src/contract/session-messages.ts';
import { judge } from '../../../../src/contract/validate.ts';

const entry = (data: Buffer) => ({
  ...({ cursor: 'c', time: '2026-11-25T10:00:00.000000001Z', channel: 'stdout', partial: false } as const),
  data,
});

describe('an entry on its way', () => {
  it('is text where it is text', () => {
    expect(streamedEntry(entry(Buffer.from('Grüße \u{1F600}\tund mehr')))).toMatchObject({
      text: 'Grüße \u{1F600}\tund mehr',
      encoding: 'utf8',
    });
  });

  it('is the same bytes again at the other end, whatever they were (FAULTS 22)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 16_384 }), (bytes) => {
        const data = Buffer.from(bytes);

        const sent = streamedEntry(entry(data));

        expect(judge(StreamedEntry, sent).ok).toBe(true);
        const { text, encoding } = JSON.parse(JSON.stringify(sent)) as StreamedEntry;
        expect(Buffer.from(text, encoding).equals(data)).toBe(true);
      }),
    );
  });
});
