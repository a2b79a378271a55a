import { expect, it } from 'vitest';
import { bundleOf } from '../../../../src/agent/diagnostics/bundle.ts';
import {
  AgentCollectDiagnosticsOutput,
  mostDiagnosticBytes,
} from '../../../../src/contract/agent-collect-diagnostics.ts';
import { maxFrameBytes } from '../../../../src/contract/signing.ts';
import { judge } from '../../../../src/contract/validate.ts';

const patience = new AbortController().signal;
const plain = (text: string) => text;
const piece = (name: string, value: unknown) => ({ name, read: async () => value });

it('has a file for each piece: values as JSON, texts as they are, nothing for what there is none of', async () => {
  const pieces = [piece('a.json', { a: 1 }), piece('b.log', 'one\ntwo\n'), piece('c.json', undefined)];

  const bundle = await bundleOf(pieces, plain, patience);

  expect(judge(AgentCollectDiagnosticsOutput, bundle).ok).toBe(true);
  expect(bundle.files).toEqual([
    { name: 'a.json', text: '{\n "a": 1\n}\n' },
    { name: 'b.log', text: 'one\ntwo\n' },
  ]);
  expect(bundle.left_out).toEqual([]);
});

it('goes on without a piece that cannot be had, and says so', async () => {
  const broken = { name: 'engine.json', read: () => Promise.reject(new Error('nobody answers, said hunter22')) };

  const bundle = await bundleOf([broken, piece('a.json', {})], (text) => text.replace('hunter22', 'X'), patience);

  expect(bundle.files.map(({ name }) => name)).toEqual(['a.json']);
  expect(bundle.left_out).toEqual(['engine.json: nobody answers, said X']);
});

it('cleans a text before it cuts it: of half a secret nothing would be recognised', async () => {
  const secret = 's'.repeat(100);
  const text = `${`${'x'.repeat(99)}\n`.repeat(1500)}${secret}\n`;

  const { files } = await bundleOf([piece('b.log', text)], (all) => all.replaceAll(secret, '[gone]'), patience);

  expect(files[0]?.text.endsWith('[gone]\n')).toBe(true);
  expect(files[0]?.text).not.toMatch(/s{3}/);
});

it('passes through one frame, however long and strange the texts are', async () => {
  const strange = `${'\u0001"\\\n'.repeat(20_000)}`;
  const pieces = Array.from({ length: 60 }, (_, index) => piece(`tasks/${index}.ndjson`, strange));

  const bundle = await bundleOf(pieces, plain, patience);

  const bytes = Buffer.byteLength(JSON.stringify(bundle));
  expect(bytes).toBeLessThan(mostDiagnosticBytes + 16 * 1024);
  expect(bytes).toBeLessThan(maxFrameBytes - 64 * 1024);
  expect(bundle.files.length).toBeGreaterThan(3);
  expect(bundle.left_out).toContain('tasks/0.ndjson: only its end is here, the rest had no room.');
  expect(bundle.left_out).toContain('tasks/59.ndjson: there was no room for it.');
  expect(judge(AgentCollectDiagnosticsOutput, bundle).ok).toBe(true);
});

it('keeps whole lines of the end', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('');

  const { files } = await bundleOf([piece('b.log', lines)], plain, patience);

  expect(files[0]?.text).toMatch(/^line \d+\n/);
  expect(files[0]?.text.endsWith('line 19999\n')).toBe(true);
});

it('ends with the task that wanted it', async () => {
  const stop = new AbortController();
  const endless = { name: 'a.json', read: () => new Promise(() => undefined) };
  const bundle = bundleOf([endless], plain, stop.signal);

  stop.abort(new Error('given up'));

  await expect(bundle).rejects.toThrow('given up');
});
