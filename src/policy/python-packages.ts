/**
 * Python package tokens: one PEP 508 name with extras and version specifiers, and nothing the installer could take for
 * an option, a URL, a path, a marker or a file.
 *
 * The tokens become arguments of `python -m pip install … -- TOKEN…`, so no shell ever sees them; the grammar is there
 * because pip itself gives meaning to much of what can stand in an argument. Every check is a single pass over a
 * bounded text.
 */
import type { PathError } from '../contract/validate.ts';

export interface PackageError extends PathError {
  /** The refused token, shortened, and without the password of a URL. */
  readonly token: string;
}

const maxTokenLength = 256;

/** Every refused token, with its path below `/python_packages`. */
export function judgePackages(tokens: readonly string[]): PackageError[] {
  const firstOfName = new Map<string, number>();
  return tokens.flatMap((token, index) => {
    const error = judgeToken(token) ?? judgeRepetition(token, index, firstOfName);
    return error ? [{ path: `/python_packages/${index}`, ...error, token: presentable(token) }] : [];
  });
}

interface TokenError {
  readonly code: string;
  readonly message: string;
}

function judgeToken(token: string): TokenError | undefined {
  if (token.length > maxTokenLength) {
    return { code: 'too_long', message: `is longer than ${maxTokenLength} characters` };
  }
  const suspicion = suspicions.find(({ pattern }) => pattern.test(token));
  if (suspicion) {
    const { code, message } = suspicion;
    return { code, message };
  }
  if (token.includes(' ')) {
    const joined = token.replaceAll(' ', '');
    return isRequirement(joined)
      ? { code: 'spaces', message: `has spaces; write ${joined}` }
      : { code: 'spaces', message: 'has spaces; write one package per entry, without spaces' };
  }
  return isRequirement(token)
    ? undefined
    : { code: 'not_a_requirement', message: 'is not a name with extras and version specifiers, such as numpy==2.4.4' };
}

/**
 * What people and attackers write instead of a requirement, each with its own words. Only the last one is needed to
 * refuse anything: the grammar refuses the others as well, but could not say why.
 */
const suspicions: readonly (TokenError & { readonly pattern: RegExp })[] = [
  { code: 'empty', pattern: /^ *$/, message: 'is empty' },
  { code: 'not_ascii', pattern: /[^\x20-\x7e]/, message: 'has a line break, a control character or a non-ASCII one' },
  { code: 'option', pattern: /^ *-/, message: 'begins with `-`: options of the installer are not accepted' },
  { code: 'url', pattern: /:\/\/|^ *(git|hg|svn|bzr)\+|^ *file:/i, message: 'is a URL: only names are accepted' },
  { code: 'direct_reference', pattern: /@/, message: 'has a direct reference (`@`): only names are accepted' },
  { code: 'marker', pattern: /;/, message: 'has an environment marker (`;`): leave the marker out' },
  { code: 'shell', pattern: /[$`|&{}"'#%?]/, message: 'has a character that no requirement has; nothing is expanded' },
  { code: 'path', pattern: /[/\\]|^ *\.|^ *~[^=]/, message: 'is a path: only names are accepted' },
  {
    code: 'archive',
    // pip takes such a name for a file of its working directory, extras behind it or not.
    pattern: /\.(whl|zip|tar|tgz|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma))( *\[.*)?$/i,
    message: 'ends like an archive, which the installer would look for in the working directory',
  },
];

const nameText = /^[A-Za-z0-9._-]+/;
const alphanumericEnds = /^[A-Za-z0-9](?:.*[A-Za-z0-9])?$/;
const specifierText = /^(===|==|~=|!=|<=|>=|<|>)(.+)$/;

/** PEP 440. Every optional part begins with another character than the one before may end with, so this is linear. */
const versionText =
  /^v?(?:\d+!)?(?<release>\d+(?:\.\d+)*)(?:(?<wildcard>\.\*)|(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?\d*)?(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?(?:[-_.]?dev[-_.]?\d*)?(?<local>\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?)$/i;

/** `name[extra,extra]specifier,specifier`, without spaces. */
function isRequirement(token: string): boolean {
  const name = nameOf(token);
  if (!isName(name)) {
    return false;
  }
  const [extras, specifiers] = splitExtras(token.slice(name.length));
  return (
    (extras === undefined || extras.split(',').every(isName)) &&
    (specifiers === '' || specifiers.split(',').every(isSpecifier))
  );
}

function nameOf(token: string): string {
  return nameText.exec(token)?.[0] ?? '';
}

function isName(text: string): boolean {
  return nameOf(text) === text && alphanumericEnds.test(text);
}

function splitExtras(rest: string): [extras: string | undefined, specifiers: string] {
  const end = rest.indexOf(']');
  return rest.startsWith('[') && end > 0 ? [rest.slice(1, end), rest.slice(end + 1)] : [undefined, rest];
}

/**
 * Wildcards only with `==` and `!=`, local versions only with those and `===`, `~=` with two release numbers at least.
 * `===` takes any text in PEP 440; here it takes a version, for nobody needs the rest and it would open the grammar.
 */
function isSpecifier(text: string): boolean {
  const [, operator = '', version = ''] = specifierText.exec(text) ?? [];
  const groups = versionText.exec(version)?.groups;
  if (!groups) {
    return false;
  }
  const { release = '', wildcard, local } = groups;
  const exact = operator === '==' || operator === '!=';
  return (
    (wildcard === undefined || exact) &&
    (local === undefined || exact || operator === '===') &&
    (operator !== '~=' || release.includes('.'))
  );
}

function judgeRepetition(token: string, index: number, firstOfName: Map<string, number>): TokenError | undefined {
  // PEP 503: these spellings are one package.
  const name = nameOf(token)
    .replaceAll(/[-_.]+/g, '-')
    .toLowerCase();
  const first = firstOfName.get(name);
  if (first === undefined) {
    firstOfName.set(name, index);
    return undefined;
  }
  return { code: 'repeated', message: `names the package of /python_packages/${first} again; write one entry for it` };
}

function presentable(token: string): string {
  return token.slice(0, maxTokenLength).replace(/\/\/[^/@]*@/, '//[redacted]@');
}
