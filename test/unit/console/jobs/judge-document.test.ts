/** What the page says of a document: as it is built, without a compiler of schemas, it has to be what the commands say. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildConsole } from '../../../../bootstrap/dev/build-console.ts';
import { type judgeDocument, placeFaults } from '../../../../src/console/pages/jobs/judge-document.ts';
import { judgeManifest } from '../../../../src/manifests/dialects.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { differences } from '../../manifests/nosana/differences.ts';

const folder = resolve(import.meta.dirname, '../../../../fixtures/manifests/nosana');
const texts = globSync('*.in.json', { cwd: folder }).map((file) => readFileSync(join(folder, file), 'utf8'));

const judge = await fromTheBuild();

/** The function as browsers get it. */
async function fromTheBuild(): Promise<typeof judgeDocument> {
  const served = temporaryFolder('console');
  let file = '';
  for (const [path, { bytes }] of await buildConsole()) {
    const at = join(served, path === '/' ? 'index.html' : path);
    mkdirSync(dirname(at), { recursive: true });
    writeFileSync(at, bytes);
    if (Buffer.from(bytes).includes('is the manifest of an app')) file = at;
  }
  writeFileSync(join(served, 'package.json'), '{"type": "module"}');
  return (await import(pathToFileURL(file).href)).judgeDocument;
}

/** Without lines, as a program of the commands has it. */
function verdictOf(text: string) {
  const verdict = judge(text);
  const bare = ({ path, code, message }: { path: string; code: string; message: string }) => ({ path, code, message });
  return verdict.ok
    ? { valid: true, errors: [], warnings: verdict.warnings.map(bare) }
    : { valid: false, errors: verdict.errors.map(bare), warnings: [] };
}

function verdictOfCommand(text: string) {
  const { valid, errors, warnings } = judgeManifest(text, { dialect: 'nosana' });
  return { valid, errors, warnings };
}

describe('the verdict of the page', () => {
  it('is that of the commands for every definition that is known', () => {
    const all = [...texts, ...differences.map(({ definition }) => JSON.stringify(definition))];

    expect(all.length).toBeGreaterThan(60);
    for (const text of all) expect(verdictOf(text)).toEqual(verdictOfCommand(text));
  });

  it('is that of the commands for whatever becomes of one, fault by fault', () => {
    const strange = fc.oneof(
      fc.constantFrom(
        '',
        '%%ops.a.results.b%%',
        '/absolute',
        'a b',
        null,
        true,
        0,
        -1,
        1e9,
        70_000,
        [],
        {},
        [''],
        [{}],
      ),
      fc.jsonValue({ maxDepth: 2 }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.array(fc.tuple(fc.nat(), strange), { maxLength: 3 }),
        (text, changes) => {
          const document = JSON.parse(text) as object;
          for (const [place, value] of changes) put(document, place, value);
          const changed = JSON.stringify(document);

          expect(verdictOf(changed)).toEqual(verdictOfCommand(changed));
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each(['{', '{"ops": [}', 'ops: [', 'a: &b c\nd: *e', '- 1', 'just words', '{"a": 1, "a": 2}'])(
    'is that of the commands for what is no document: %j',
    (text) => {
      expect(verdictOf(text)).toEqual(verdictOfCommand(text));
      expect(verdictOf(text).valid).toBe(false);
    },
  );

  it('tells the manifest of an app from a job', () => {
    expect(verdictOf('profile: {}').errors).toEqual([
      { path: '', code: 'unknown_dialect', message: expect.stringContaining('launched from the catalog') },
    ]);
  });

  it('tells a Golem manifest from a job, and how one is submitted', () => {
    for (const text of ['payload: []', '{"version": "0.1.0", "compManifest": {}}']) {
      expect(verdictOf(text).errors).toEqual([
        { path: '', code: 'unknown_dialect', message: expect.stringContaining('gpuaas jobs submit FILE --script') },
      ]);
    }
  });

  it('names the line of each fault, and what would run', () => {
    const text = [
      ...['version: "0.1"', 'type: container', 'ops:'],
      ...['  - id: one', '    type: container/run', '    args: { image: debian, cmd: 7 }'],
    ].join('\n');
    const verdict = judge(text);
    const good = judge(text.replace('cmd: 7', 'cmd: ls'));

    expect(verdict.ok === false && verdict.errors.map(({ path, line }) => [path, line])).toEqual([
      ['/ops/0/args/cmd', 6],
    ]);
    expect(good.ok && good.steps).toEqual([{ id: 'one', name: 'one', group: 'op:one', depends_on: [] }]);
  });

  it('places what the control plane has refused in the same way', () => {
    const fault = { path: '/ops/0/args/image', code: 'image', message: 'is nowhere' };

    expect(placeFaults('ops:\n  - args:\n      image: debian\n', [fault, { ...fault, path: '' }])).toEqual([
      { ...fault, line: 3, column: 7 },
      { ...fault, path: '', line: null, column: null },
    ]);
  });
});

/** Puts the value in place of another one, wherever that leads. */
function put(document: object, place: number, value: unknown): void {
  const slots: [Record<string, unknown>, string][] = [];
  const walk = (at: unknown) => {
    if (typeof at !== 'object' || at === null) return;
    for (const key of Object.keys(at)) {
      slots.push([at as Record<string, unknown>, key]);
      walk((at as Record<string, unknown>)[key]);
    }
  };
  walk(document);
  const [owner, key] = slots[place % Math.max(1, slots.length)] ?? [];
  if (owner && key !== undefined) owner[key] = value;
}
