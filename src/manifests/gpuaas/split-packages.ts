/** Python packages as people type them: requirements between spaces or on lines of their own. */
import { judgePackages } from '../../policy/python-packages.ts';

export interface SplitPackages {
  readonly tokens: readonly string[];
  /** One for each requirement that is refused, which the message names. It reads behind "it", as all of them do. */
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

const maxTokens = 256;

export function splitPackages(text: string): SplitPackages {
  const written = requirementsOf(text.split(/\s+/).filter((word) => word !== ''));
  const many =
    written.length > maxTokens ? [{ code: 'too_many', message: `must not be more than ${maxTokens} packages` }] : [];
  const kept = written.slice(0, maxTokens);
  const apart = kept
    .filter((words) => words.length > 1)
    .map((words) => ({
      code: 'spaces',
      message: `has ${cut(words.join(' '))}, which has spaces; write ${cut(words.join(''))}`,
    }));
  const tokens = kept.flatMap((words) => (words.length === 1 ? words : []));
  const refused = judgePackages(tokens).map(({ code, token, message }) => ({
    code,
    message: `has ${token}, which ${message.replace(/the package of \/python_packages\/\d+/, 'a package')}`,
  }));
  return { tokens, errors: [...apart, ...many, ...refused] };
}

/** The words of each requirement: those around an operator and inside of brackets belong together, however they are spaced. */
function requirementsOf(words: readonly string[]): string[][] {
  const requirements: string[][] = [];
  for (const word of words) {
    const open = requirements.at(-1);
    const before = open?.at(-1) ?? '';
    const goesOn =
      /^[<>=~!]/.test(word) || /[<>=~!]$/.test(before) || before.lastIndexOf('[') > before.lastIndexOf(']');
    if (open && goesOn) open.push(word);
    else requirements.push([word]);
  }
  return requirements;
}

function cut(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}…` : text;
}
