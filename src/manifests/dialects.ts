/**
 * The kinds of manifests that are understood, and which one a document is of. A kind is one folder beside this file and one
 * line here.
 */
import type { PathError } from '../contract/validate.ts';
import { manifestSchemaText } from './computalot/manifest-schema.ts';
import { readManifest } from './computalot/read-manifest.ts';
import { payloadManifestSchemaText } from './golem/manifest-schema.ts';
import { readPayloadManifest } from './golem/read-manifest.ts';
import { profileSchemaText } from './gpuaas/profile-schema.ts';
import { readProfile } from './gpuaas/read-profile.ts';
import { definitionSchemaText } from './nosana/definition-schema.ts';
import { readDefinition } from './nosana/read-definition.ts';
import { readDocument } from './read-document.ts';

interface Kind {
  /** Keys that no document of another kind has at its top; one of them is enough. */
  readonly knownBy: readonly [string, ...string[]];
  /** `now`: milliseconds since 1970, where it matters and is known. */
  readonly read: (document: unknown, now?: number) => Verdict;
  /** Its JSON Schema, as text. */
  readonly schema: () => string;
}

type Verdict =
  | { readonly ok: true; readonly warnings: readonly PathError[] }
  | { readonly ok: false; readonly errors: readonly PathError[] };

const kinds = {
  gpuaas: { knownBy: ['profile'], read: readProfile, schema: profileSchemaText },
  nosana: { knownBy: ['ops'], read: readDefinition, schema: definitionSchemaText },
  computalot: {
    knownBy: ['entrypoint', 'runtime'],
    read: (document) => readManifest(document),
    schema: manifestSchemaText,
  },
  golem: {
    knownBy: ['payload', 'compManifest'],
    read: (document, now) => readPayloadManifest(document, now === undefined ? {} : { now }),
    schema: payloadManifestSchemaText,
  },
} as const satisfies Record<string, Kind>;

export type Dialect = keyof typeof kinds;
export const dialects = Object.keys(kinds) as Dialect[];

export interface ManifestVerdict {
  /** Null where nobody can tell. */
  readonly dialect: Dialect | null;
  readonly valid: boolean;
  readonly errors: readonly PathError[];
  /** Of what is valid. */
  readonly warnings: readonly PathError[];
}

interface Judging {
  /** The kind of the manifest; the one that it is of if absent. */
  readonly dialect?: Dialect | undefined;
  /** Milliseconds since 1970. A manifest that has expired by then is not valid; not asked if absent. */
  readonly now?: number;
}

/** Judges a manifest in JSON or YAML. */
export function judgeManifest(text: string, { dialect: named, now }: Judging = {}): ManifestVerdict {
  const document = readDocument(text);
  if (!document.ok) return { dialect: named ?? null, valid: false, errors: document.errors, warnings: [] };
  const dialect = named ?? dialectOf(document.value);
  if (dialect === null) return { dialect, valid: false, errors: [foreign], warnings: [] };
  const read = kinds[dialect].read(document.value, now);
  return read.ok
    ? { dialect, valid: true, errors: [], warnings: read.warnings }
    : { dialect, valid: false, errors: read.errors, warnings: [] };
}

/** By a key that no other kind has; null where it has none of them. */
export function dialectOf(document: unknown): Dialect | null {
  const has = (key: string) => typeof document === 'object' && document !== null && Object.hasOwn(document, key);
  return dialects.find((dialect) => kinds[dialect].knownBy.some(has)) ?? null;
}

export const foreign: PathError = {
  path: '',
  code: 'unknown_dialect',
  message: `is of no kind that is known here: ${dialects.map((name) => `${name} has the key \`${kinds[name].knownBy[0]}\``).join(', ')}`,
};

/** The JSON Schema of a kind, for editors and for other people's programs. */
export function schemaTextOf(dialect: Dialect): string {
  return kinds[dialect].schema();
}
