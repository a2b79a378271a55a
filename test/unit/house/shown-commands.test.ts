/** The command lines that README and docs show, each held against the program's own help; and the way to each page. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { gpuaas } from '../../../src/cli/gpuaas-main.ts';
import { main as nodeAgent } from '../../../src/cli/main.ts';

const root = resolve(import.meta.dirname, '../../..');
const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).flatMap((name) =>
  name.endsWith('.md') ? [`docs/${name}`] : [],
);
const text = (file: string) => readFileSync(join(root, file), 'utf8');
const programs = { gpuaas, 'node-agent': nodeAgent } as const;

/** In blocks of shell and in the running text; what is a pattern for several commands is left out. */
function shownIn(file: string): string[] {
  const lines = [...text(file).matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n'));
  const spans = [...text(file).matchAll(/`((?:gpuaas|node-agent) [^`\n]*)`/g)].map(([, span = '']) => span);
  return [...lines, ...spans]
    .flatMap((line) => line.replace(/ #.*/, '').split(/&&?|\$\(|[>)]/))
    .map((line) => line.trim().replace(/^npx /, ''))
    .filter((line) => /^(gpuaas|node-agent) \S/.test(line) && !/[|[…]/.test(line));
}

async function helpOf(program: keyof typeof programs, words: readonly string[]): Promise<string> {
  let said = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    said += String(chunk);
    return true;
  });
  try {
    await programs[program]([...words, '--help']);
  } finally {
    write.mockRestore();
  }
  return said;
}

const shown = [...new Set(['README.md', 'ARCHITECTURE.md', ...pages].flatMap(shownIn))];

describe('a command line that the docs show', () => {
  it.each(shown)('is one that there is: %s', async (line) => {
    const [program = '', ...rest] = line.replaceAll(/"[^"]*"/g, 'TEXT').split(/\s+/);
    const flag = rest.findIndex((word) => word.startsWith('-'));
    const words = (flag < 0 ? rest : rest.slice(0, flag)).filter((word) => word !== '');

    const help = await helpOf(program as keyof typeof programs, words);

    const [, path = '', takes = ''] =
      /^Usage: (?:gpuaas|node-agent) ?([a-z -]*?) ?(\[options\].*|<.*|)$/m.exec(help) ?? [];
    const known = path.split(' ').filter((word) => word !== '');
    expect(words.slice(0, known.length)).toEqual(known);
    expect(words.length > known.length && takes.includes('[command]') ? words : []).toEqual([]);
    expect(rest.filter((word) => word.startsWith('--') && !help.includes(word.split('=')[0] ?? ''))).toEqual([]);
  });

  it('is shown at all', () => {
    expect(shown.length).toBeGreaterThan(20);
  });
});

it('every page can be reached from the README', () => {
  const seen = new Set(['README.md']);
  for (const page of seen) {
    for (const [, target = ''] of text(page).matchAll(/\]\((?!https?:)([^)#]+\.md)(?:#[^)]*)?\)/g)) {
      seen.add(posix.join(posix.dirname(page), target));
    }
  }

  expect(pages.filter((page) => !seen.has(page))).toEqual([]);
});
