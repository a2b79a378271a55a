/** The curated manifests and the one of the smoke test, and ways to change a copy of each by JSON pointer. */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { WorkloadProfile } from '../../src/manifests/gpuaas/profile.ts';
import { readProfile, readProfileText } from '../../src/manifests/gpuaas/read-profile.ts';
import { jupyterlab } from '../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import { vllmOpenai } from '../../src/manifests/gpuaas/seeds/vllm-openai.ts';

/** Value at each pointer; `undefined` takes it away. Folders on the way are made. */
export type Changes = Readonly<Record<string, unknown>>;

const folder = join(resolve(import.meta.dirname, '../..'), 'fixtures/manifests/gpuaas');
export const smokeStackSource = readFileSync(join(folder, 'smoke-stack.yaml'), 'utf8');

export const jupyterDocument = (changes: Changes = {}) => changed(jupyterlab.source, changes);
export const vllmDocument = (changes: Changes = {}) => changed(vllmOpenai.source, changes);
export const smokeDocument = (changes: Changes = {}) => changed(smokeStackSource, changes);

/** Profiles that must be valid after the changes. */
export const jupyterProfile = (changes: Changes = {}) => valid(jupyterDocument(changes));
export const vllmProfile = (changes: Changes = {}) => valid(vllmDocument(changes));
export const smokeProfile = (changes: Changes = {}) => valid(smokeDocument(changes));

/** Each manifest is read once: reading takes longer than what most tests do with it. */
const documents = new Map<string, string>();

function documentOf(source: string): Record<string, unknown> {
  let text = documents.get(source);
  if (text === undefined) {
    const read = readProfileText(source);
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    text = JSON.stringify(read.profile);
    documents.set(source, text);
  }
  return JSON.parse(text) as Record<string, unknown>;
}

function changed(source: string, changes: Changes): Record<string, unknown> {
  const document = documentOf(source);
  for (const [pointer, value] of Object.entries(changes)) {
    const keys = pointer.split('/').slice(1);
    const last = keys.pop() ?? '';
    const parent = keys.reduce<Record<string, unknown>>((at, key) => {
      at[key] ??= {};
      return at[key] as Record<string, unknown>;
    }, document);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  }
  return document;
}

function valid(document: unknown): WorkloadProfile {
  const read = readProfile(document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.profile;
}
