/** Python packages as people type them: requirements between spaces or on lines of their own. */
import { judgePackages } from '../../policy/python-packages.ts';

export interface SplitPackages {
  readonly tokens: readonly string[];
  /** One for each requirement that is refused, which the message names. */
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

const operator = '(?:===|==|~=|!=|<=|>=|<|>)';
const spaced = new RegExp(`[^\\s<>=~!]+(?:\\[[^\\]]*\\])?(?:\\s+${operator}\\s*|${operator}\\s+)[^\\s<>=~!]+`, 'g');
const maxTokens = 256;

export function splitPackages(text: string): SplitPackages {
  const apart = [...text.matchAll(spaced)].map(([requirement]) => ({
    code: 'spaces',
    message: `${cut(requirement)}: has spaces; write ${cut(requirement.replaceAll(/\s+/g, ''))}`,
  }));
  const tokens = text
    .replaceAll(spaced, ' ')
    .split(/\s+/)
    .filter((token) => token !== '');
  const many =
    tokens.length > maxTokens ? [{ code: 'too_many', message: `must not be more than ${maxTokens} packages` }] : [];
  const refused = judgePackages(tokens.slice(0, maxTokens)).map(({ code, token, message }) => ({
    code,
    message: `${token}: ${message.replace(/the package of \/python_packages\/\d+/, 'a package')}`,
  }));
  return { tokens, errors: [...apart, ...many, ...refused] };
}

function cut(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}…` : text;
}
