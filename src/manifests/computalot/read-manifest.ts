/** From a document to a project manifest that can be relied on, as far as the document alone can tell. */
import type { PathError } from '../../contract/validate.ts';
import { judgeWhole } from '../judge-whole.ts';
import { readDocument } from '../read-document.ts';
import { checkAsPlan } from './check-as-plan.ts';
import { checkManifest } from './check-manifest.ts';
import { ProjectManifest } from './manifest.ts';
import { warnAbout } from './warn-about.ts';

export type ReadManifest =
  /** `warnings` are accepted and worth a look. */
  | { readonly ok: true; readonly manifest: ProjectManifest; readonly warnings: readonly PathError[] }
  /** All that is wrong, with JSON pointers. */
  | { readonly ok: false; readonly errors: readonly PathError[] };

/** Reads JSON or YAML. */
export function readManifestText(text: string): ReadManifest {
  const read = readDocument(text);
  return read.ok ? readManifest(read.value) : read;
}

interface Reading {
  /** What else is asked of it, also of the parts that are right of one that is wrong. */
  readonly also?: (manifest: ProjectManifest) => readonly PathError[];
}

/** Nothing is filled in or changed: what is kept of a project is what was pushed. */
export function readManifest(document: unknown, { also }: Reading = {}): ReadManifest {
  const judged = judgeWhole(ProjectManifest, document, (manifest) => [
    ...checkManifest(manifest),
    ...(also?.(manifest) ?? []),
  ]);
  if (!judged.ok) return { ok: false, errors: inItsWords(judged.errors) };
  const errors = checkAsPlan(judged.value);
  return errors.length > 0
    ? { ok: false, errors }
    : { ok: true, manifest: judged.value, warnings: warnAbout(judged.value) };
}

/** Sentences that its documentation promises, by what they are about; the place is that of the field as a whole. */
const documented: readonly { readonly about: RegExp; readonly message: string; readonly at: string }[] = [
  { about: /^\/version$/, message: 'version must be a positive integer', at: '/version' },
  { about: /^\/runtime(\/kind)?$/, message: 'runtime.kind must be tarball or oci', at: '/runtime/kind' },
  { about: /^\/runtime$/, message: 'is missing: it must be gvisor', at: '/runtime/sandbox' },
  { about: /^\/runtime(\/workdir)?$/, message: 'runtime.workdir must be an absolute path', at: '/runtime/workdir' },
  {
    about: /^\/entrypoint(\/command(\/\d+)?)?$/,
    message: 'entrypoint.command must be a non-empty string array',
    at: '/entrypoint/command',
  },
];
/** Codes of errors that say more than those sentences do. */
const ownWords = [
  'unsupported',
  'path',
  'system_path',
  'folder',
  'empty',
  'unknown_key',
  'maxLength',
  'maxItems',
  'pattern',
];

function inItsWords(errors: readonly PathError[]): PathError[] {
  const told = errors.flatMap((error): readonly PathError[] => {
    if (error.path === '/version' && error.code === 'maximum') {
      // Of no whole number the documented sentence is told.
      if (errors.some(({ path, code }) => path === '/version' && code === 'type')) return [];
      return [{ path: error.path, code: 'unsupported', message: 'must be 1: no other version is known here' }];
    }
    if (/^\/data_sources\/\d+\/uri$/.test(error.path) && error.code === 'pattern') {
      return [{ ...error, message: 'must be hf://org/model-name, with @revision behind it or not' }];
    }
    if (/\/name$|\/cache$/.test(error.path) && error.code === 'pattern') {
      return [
        { ...error, message: 'must be letters, digits, `-` and `_`, beginning and ending with a letter or digit' },
      ];
    }
    if (ownWords.includes(error.code)) return [error];
    const sentences = documented.filter(({ about }) => about.test(error.path));
    return sentences.length === 0 ? [error] : sentences.map(({ message, at }) => ({ ...error, path: at, message }));
  });
  return [...new Map(told.map((error) => [`${error.path} ${error.message}`, error])).values()];
}
