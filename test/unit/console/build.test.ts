/** The console as it is served: small, and on its own. */
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { buildConsole } from '../../../bootstrap/dev/build-console.ts';

const files = await buildConsole();
const texts = [...files].map(([path, { bytes }]) => ({ path, text: Buffer.from(bytes).toString() }));

it('stays under 60 kB, all files compressed', () => {
  const sizes = [...files.values()].map(({ bytes }) => gzipSync(bytes).length);

  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(60_000);
});

it('has no schema library in it: the control plane judges, and forms have rules of their own', () => {
  const libraries = texts.filter(({ text }) => /~kind|TypeCompiler/.test(text)).map(({ path }) => path);

  expect(libraries).toEqual([]);
});

it('names no other origin but those that only name a language of the web', () => {
  const named = texts.flatMap(({ text }) => text.match(/(?:https?:|wss?:)?\/\/[a-z0-9-]+(?:\.[a-z0-9-]+)+/gi) ?? []);

  expect(new Set(named)).toEqual(new Set(['http://www.w3.org']));
});

it('keeps scripts and styles for ever, and never the page that names them', () => {
  const page = texts.find(({ path }) => path === '/')?.text ?? '';
  const assets = [...files].filter(([, { immutable }]) => immutable).map(([path]) => path);

  expect(files.get('/')?.immutable).toBeUndefined();
  expect(assets.map((path) => path.replace(/^.*\./, '')).sort()).toEqual(['css', 'js']);
  expect(assets.filter((path) => !page.includes(path) || !/-[A-Z0-9]{8}\.(js|css)$/.test(path))).toEqual([]);
});

it('has nothing that a strict content security policy would stop', () => {
  const page = texts.find(({ path }) => path === '/')?.text ?? '';

  expect(page).not.toMatch(/<style|style=|<script(?![^>]* src=)|\son[a-z]+=/);
});
