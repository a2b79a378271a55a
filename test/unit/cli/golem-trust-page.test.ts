/** Does what docs/golem-trust.md shows: makes a key, signs a manifest and tries it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readTrust, trustPlaces } from '../../../src/agent/trust/trust-files.ts';
import { main } from '../../../src/cli/main.ts';
import { withNetwork } from '../../support/payload-manifests.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/golem-trust.md'), 'utf8');
const lines = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.trim().split('\n'));
const manifest = withNetwork({ inet: { out: { urls: ['https://weather.example.net'] } } });
const folder = temporaryFolder('golem-trust-page');

afterEach(() => vi.restoreAllMocks());

describe('docs/golem-trust.md', () => {
  it('shows how a manifest is signed, and a host that knows its author accepts it (M-41, M-44)', async () => {
    const host = newHost();
    const shell = lines.filter((line) => !line.startsWith('node-agent'));
    const ours = (word: string) => lines.filter((line) => line.startsWith(`node-agent trust ${word}`));
    const [test = ''] = ours('test');

    for (const line of shell) execFileSync('sh', ['-ec', line], { cwd: host.etc, stdio: 'pipe' });
    // Any certificate will do for that of an authority.
    execFileSync('cp', ['author.pem', 'ca.pem'], { cwd: host.etc });

    expect(shell.length).toBeGreaterThan(2);
    expect(await host.does(test)).toBe(1);
    for (const line of ['add', 'whitelist', 'rules', 'list'].flatMap(ours)) expect(await host.does(line), line).toBe(0);
    expect(await host.does(test), 'the whitelist does not have it').toBe(1);
    expect(await host.does('node-agent trust add author.pem')).toBe(0);
    expect(await host.does(test)).toBe(0);
  });

  it('tells the defaults as they are', async () => {
    const { settings } = await readTrust(trustPlaces(join(newHost().etc, 'agent.json')));
    const rows = [...page.matchAll(/^\| `([a-z_.]+)` \| `(.*?)` \|/gm)].map(([, key = '', shown = '']) => [key, shown]);
    const valueAt = (key: string) =>
      key.split('.').reduce<unknown>((inner, part) => (inner as Record<string, unknown>)[part], settings);
    const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
    const { outbound, ...others } = settings;

    expect(rows).toEqual(rows.map(([key = '']) => [key, textOf(valueAt(key))]));
    expect(rows.map(([key]) => key).sort()).toEqual(
      [...Object.keys(outbound).map((key) => `outbound.${key}`), ...Object.keys(others)].sort(),
    );
  });

  it('quotes what is said', () => {
    const said = [...(page.split('## What is said')[1]?.matchAll(/^\| (.+?) \|/gm) ?? [])]
      .map(([, text = '']) => text)
      .filter((text) => !/^(what is said|---)/.test(text));
    const sources = ['judge-trust', 'verify-proof', 'chain']
      .map((name) => readFileSync(resolve(import.meta.dirname, `../../../src/policy/trust/${name}.ts`), 'utf8'))
      .join('\n')
      .replaceAll('\\`', '`');
    const parts = said.flatMap((text) => text.split(/…|`whitelist`/)).map((part) => part.trim());

    expect(said.length).toBeGreaterThan(10);
    expect(parts.filter((part) => part.length > 12 && !sources.includes(part.replace(/[.,]$/, '')))).toEqual([]);
  });
});

/** A host on which nothing is settled, with the manifest to be signed beside its configuration. */
function newHost() {
  const etc = mkdtempSync(join(folder, 'etc-'));
  writeFileSync(join(etc, 'manifest.json'), JSON.stringify(manifest));
  const does = async (line: string) => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const [, ...words] = line.replace(/ #.*/, '').trim().split(/\s+/);
    const args = words.map((word) => word.replaceAll('"', ''));
    const inPlace = args.map((word) => (existsSync(join(etc, word)) && word.includes('.') ? join(etc, word) : word));
    const code = await main([...inPlace, '--config', join(etc, 'agent.json')]);
    vi.restoreAllMocks();
    return code;
  };
  return { etc, does };
}
