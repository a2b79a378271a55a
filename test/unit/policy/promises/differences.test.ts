/** Each difference from the programs of the Golem network is one, in both modes, and docs/golem.md has it (M-33). */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ExeScript } from '../../../../src/contract/exe-script.ts';
import type { PayloadManifest } from '../../../../src/contract/payload-manifest.ts';
import { checkPromises } from '../../../../src/policy/promises/check-promises.ts';
import { type CommandMode, readCommandRules } from '../../../../src/policy/promises/command-rules.ts';
import { judgeScript } from '../../../../src/policy/promises/judge-script.ts';
import { type CommandDifference, commandDifferences } from '../../../support/golem-differences.ts';
import { payloadManifest, payloadPlan, withNetwork } from '../../../support/payload-manifests.ts';

const page = readFileSync(join(resolve(import.meta.dirname, '../../../..'), 'docs/golem.md'), 'utf8');
const rowsBelow = (title: string) =>
  (page.split(`${title}\n`)[1] ?? '')
    .split('\n## ')[0]
    ?.split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);

function verdict({ manifest, command }: CommandDifference, mode: CommandMode) {
  const read = readCommandRules(manifest, mode);
  if (!read.ok) return 'error';
  return judgeScript(read.rules, [command]).allowed ? 'allowed' : 'refused';
}

describe('a command', () => {
  it.each(commandDifferences)('is judged otherwise: $what', (difference) => {
    expect([verdict(difference, 'strict'), verdict(difference, 'yagna')]).toEqual([
      difference.strict,
      difference.yagna,
    ]);
    expect(difference.strict).not.toBe(difference.yagna);
  });

  it('is told of by the page', () => {
    const words = { allowed: 'allowed', refused: 'refused', error: 'error when it is read' };
    const rows = commandDifferences.map(
      ({ what, rule, shown, strict, yagna }) =>
        `| ${what} | \`${rule}\` | \`${shown}\` | ${words[strict]} | ${words[yagna]} |`,
    );

    expect(rowsBelow('## Commands: where strict differs from yagna')).toEqual(rows);
  });
});

const now = Date.parse('2026-01-01T00:00:00Z');
const fetch = (from: string): ExeScript => [{ transfer: { from, to: 'container:/golem/input/x' } }];
const anything = ['run .*', 'transfer .*'];
const out = (rules: unknown): PayloadManifest => {
  const manifest = withNetwork({ inet: { out: rules } }, anything);
  if (manifest.compManifest?.script) manifest.compManifest.script.match = 'regex';
  return manifest;
};

/** What programs of the network accept, and is refused here whatever the mode. */
const always: readonly [what: string, manifest: PayloadManifest, script: ExeScript][] = [
  ['`expiresAt` has passed', payloadManifest({ expiresAt: '2025-01-01T00:00:00Z' }), [{ deploy: {} }]],
  [
    '`createdAt` is more than 5 minutes ahead',
    payloadManifest({ createdAt: '2027-01-01T00:00:00Z' }),
    [{ deploy: {} }],
  ],
  ['`inet` without `out`', withNetwork({ inet: {} }), [{ deploy: {} }]],
  ['`out` without `urls` and without `unrestricted`', out({}), [{ deploy: {} }]],
  [
    '`urls` beside `unrestricted: {"urls": true}`',
    out({ urls: ['https://a.example'], unrestricted: { urls: true } }),
    [{ deploy: {} }],
  ],
  [
    'an address whose scheme is not among `protocols`',
    out({ protocols: ['https'], urls: ['http://a.example'] }),
    [{ deploy: {} }],
  ],
  [
    'an address that is private, loopback, link-local, metadata or reserved',
    out({ urls: ['http://169.254.169.254'] }),
    [{ deploy: {} }],
  ],
  ['an address of `ftp`, `ws`, `tcp`, `udp` or another scheme', out({ urls: ['ftp://a.example'] }), [{ deploy: {} }]],
  [
    'a transfer to an address that `net` does not name',
    out({ urls: ['https://a.example'] }),
    fetch('https://b.example/x'),
  ],
  ['a transfer without a `net`', payloadManifest(), fetch('https://a.example/x')],
];

describe('what is refused in both modes', () => {
  it.each(always)('is %s (M-4, M-38, M-40)', (_what, manifest, script) => {
    for (const mode of ['strict', 'yagna'] as const) {
      const plan = payloadPlan(manifest, script, { command_policy: mode });
      const findings = checkPromises(plan, manifest, { compat: true, now });
      expect(findings.flatMap(({ errors }) => errors).length, mode).toBeGreaterThan(0);
    }
  });

  it('is told by the page', () => {
    expect(rowsBelow('## Everything else: refused in both modes')?.map((row) => row.split(' | ')[0]?.slice(2))).toEqual(
      always.map(([what]) => what),
    );
  });
});
