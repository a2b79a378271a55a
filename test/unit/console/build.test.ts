/** The console as it is served: small, and on its own. */
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { buildConsole } from '../../../bootstrap/dev/build-console.ts';

const files = await buildConsole();
const texts = [...files].map(([path, { bytes }]) => ({ path, text: Buffer.from(bytes).toString() }));

const page = texts.find(({ path }) => path === '/')?.text ?? '';
const isFirst = (path: string) => path === '/' || page.includes(path);
const compressed = (path: string) => gzipSync(files.get(path)?.bytes ?? '', { level: 9 }).length;
const sumOf = (paths: readonly string[]) => paths.reduce((sum, path) => sum + compressed(path), 0);
/** A file, and what it cannot be without. */
const neededBy = (path: string): string[] => {
  const { text = '' } = texts.find((each) => each.path === path) ?? {};
  const imported = [...text.matchAll(/(?:from|import)"\.\/([^"]+)"/g)].map(([, name]) => `/assets/${name}`);
  return [path, ...imported.filter((each) => !isFirst(each)).flatMap(neededBy)];
};
const first = [...files.keys()].filter(isFirst);
const later = [...files.keys()].filter((path) => !isFirst(path));
/** What judges documents: its parsers are larger than all pages, and it comes when somebody writes a document. */
const [judge = ''] = texts.filter(({ text }) => text.includes('is the manifest of an app')).map(({ path }) => path);
const pagesLater = later.filter((path) => path !== judge);

it('brings its first page in less than 25 kB, compressed', () => {
  expect(sumOf(first)).toBeLessThan(25_000);
});

it('brings any page in less than 57 kB, compressed, all that comes with it included', () => {
  const pages = pagesLater.map((path) => sumOf([...new Set([...first, ...neededBy(path)])]));
  expect(pages.length).toBeGreaterThan(0);
  expect(Math.max(...pages)).toBeLessThan(57_000);
});

it('brings all of its pages together in less than 93 kB, compressed', () => {
  expect(sumOf([...first, ...pagesLater])).toBeLessThan(93_000);
});

it('brings what judges documents in less than 205 kB, compressed, and with no page', () => {
  expect(sumOf(neededBy(judge).filter((path) => path !== judge))).toBeLessThan(2_000);
  expect(sumOf([judge])).toBeLessThan(205_000);
  expect(pagesLater.filter((path) => neededBy(path).includes(judge))).toEqual([]);
});

it('names no other origin but those that only name a language of the web', () => {
  const named = texts.flatMap(({ text }) => text.match(/(?:https?:|wss?:)?\/\/[a-z0-9-]+(?:\.[a-z0-9-]+)+/gi) ?? []);

  expect(new Set(named)).toEqual(new Set(['http://www.w3.org']));
});

it('keeps scripts and styles for ever, and never the page that names them', () => {
  const kept = [...files].filter(([, { immutable }]) => immutable).map(([path]) => path);

  expect(files.get('/')?.immutable).toBeUndefined();
  expect(kept.filter((path) => path.endsWith('.css')).filter(isFirst)).toHaveLength(1);
  expect(kept.filter((path) => !/-[A-Z0-9]{8}\.(js|css)$/.test(path))).toEqual([]);
});

it('has every part that its scripts load, and each of them under its name', () => {
  const scripts = texts.filter(({ path }) => path.endsWith('.js'));
  const loaded = scripts.flatMap(({ text }) => [...text.matchAll(/"\.\/((?:main|part|[a-z-]+)-[A-Z0-9]{8}\.js)"/g)]);

  expect(new Set(loaded.map(([, name]) => files.has(`/assets/${name}`)))).toEqual(new Set([true]));
});

it('has nothing that a strict content security policy would stop', () => {
  expect(page).not.toMatch(/<style|style=|<script(?![^>]* src=)|\son[a-z]+=/);
});
