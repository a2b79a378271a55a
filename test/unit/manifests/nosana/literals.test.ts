import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Literal, readLiterals } from '../../../../src/manifests/nosana/literals.ts';

const ops = ['a', 'llama-3.1', 'llama-3', 'a.results'];
const pieces = (text: string) => {
  const read = readLiterals(text, () => ops);
  return read.ok ? read.pieces : read;
};

describe('literals in a text', () => {
  it.each<[string, readonly (string | Literal)[]]>([
    ['plain 100% text %% and %%other.x%%', ['plain 100% text %% and %%other.x%%']],
    ['', []],
    ['%%ops.a.host%%', [{ kind: 'host', op: 'a' }]],
    ['http://%%ops.a.endpoint.8080%%/x', ['http://', { kind: 'endpoint', op: 'a', port: 8080 }, '/x']],
    [
      '%%ops.llama-3.1.results.url%%%%global.job%%',
      [
        { kind: 'result', op: 'llama-3.1', name: 'url', path: [] },
        { kind: 'fact', name: 'job' },
      ],
    ],
    ['%%ops.llama-3.results.list.0.name%%', [{ kind: 'result', op: 'llama-3', name: 'list', path: ['0', 'name'] }]],
    ['%%ops.a.results.host%%', [{ kind: 'host', op: 'a.results' }]],
    ['50%%%%global.project%%%%', ['50%%', { kind: 'fact', name: 'project' }, '%%']],
    ['%%globals.variables.a.b%%', [{ kind: 'variable', name: 'a.b' }]],
  ])('%j', (text, expected) => {
    expect(pieces(text)).toEqual(expected);
  });

  it.each([
    ['%%ops.b.host%%', 'names no op'],
    ['%%ops.a.host', 'has no end'],
    ['%%ops.a.results%%', 'is none of results.NAME'],
    ['%%ops.a.results..x%%', 'is none of results.NAME'],
    ['%%ops.a.endpoint.http%%', 'is none of results.NAME'],
    ['%%ops.a.deployment_endpoint%%', 'there are none here'],
    ['%%global.secrets%%', 'is none of job, host'],
    ['%%global.variables%%', 'is none of job, host'],
  ])('%j is told as wrong', (text, message) => {
    expect(pieces(text)).toMatchObject({ ok: false, message: expect.stringContaining(message) });
  });

  it('no text is lost, and nothing takes long', () => {
    const anything = fc.array(fc.constantFrom('%', '%%', 'ops.', 'a', '.host', 'global.job', 'x', '.'), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(anything, (words) => {
        const text = words.join('');
        const read = readLiterals(text, () => ops);
        if (!read.ok) return;
        const written = read.pieces.map((piece) =>
          typeof piece === 'string' ? piece : piece.kind === 'host' ? `%%ops.${piece.op}.host%%` : '%%global.job%%',
        );
        expect(written.join('')).toBe(text);
      }),
    );
  });
});
