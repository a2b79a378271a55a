/** Each difference from the programs of the Golem network is one, in both modes, and docs/golem.md has it (M-33). */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ExeScript } from '../../../../src/contract/exe-script.ts';
import type { PayloadManifest } from '../../../../src/contract/payload-manifest.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import { checkPromises } from '../../../../src/policy/promises/check-promises.ts';
import { type CommandMode, readCommandRules } from '../../../../src/policy/promises/command-rules.ts';
import { judgeScript } from '../../../../src/policy/promises/judge-script.ts';
import { type CommandDifference, commandDifferences } from '../../../support/golem-differences.ts';
import { payloadManifest, payloadPlan, withNetwork, withScript } from '../../../support/payload-manifests.ts';

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

const dated = (env: Record<string, string>): ExeScript => [{ run: { entry_point: '/bin/date', env } }];
const costly = withScript(['run (.*a){1000}'], 'regex');
const [long]: ExeScript = [{ run: { entry_point: 'ba'.repeat(1000) } }];
const listed = out({ urls: ['https://a.example'] });
const elsewhere = { transfer: { from: 'https://a.example/x', to: 'container:/etc/passwd' } };

/** The same of plans and batches, with the place that is named. */
const inPlans: readonly [what: string, manifest: PayloadManifest, script: ExeScript, path: RegExp][] = [
  [
    'a variable of the loader or of devices (`LD_*`, `NVIDIA_*`) in `env`',
    withScript(['{"run": {"args": "/bin/date", "env": {"LD_A": "x", "NVIDIA_A": "x"}}}']),
    dated({ LD_A: 'x', NVIDIA_A: 'x' }),
    /script\/0\/run\/env\/(LD|NVIDIA)_A$/,
  ],
  [
    'a transfer to or from a file that is not below `/golem/input`, `/golem/output`, `/golem/work` or `/golem/resource`',
    listed,
    [elsewhere],
    /script\/0\/transfer\/to$/,
  ],
  ['`sign`', listed, [{ sign: {} } as object], /script\/0/],
  ['expressions that are too large, or cost more than a batch may', costly, long ? [long] : [], /script\/0$/],
  ['more than 128 commands', listed, Array.from({ length: 129 }, () => ({ deploy: {} })), /script$/],
];

describe('what is refused in both modes', () => {
  it.each(inPlans)('is %s, of a plan', (_what, manifest, script, place) => {
    for (const mode of ['strict', 'yagna'] as const) {
      const plan = payloadPlan(manifest, script, { command_policy: mode });
      const promised = checkPromises(plan, manifest, { compat: true, now }).flatMap(({ errors }) => errors);
      const paths = [...errorsOfPlan(plan), ...promised].map(({ path }) => path);

      expect(paths, mode).toContainEqual(expect.stringMatching(place));
    }
  });

  it.each(always)('is %s (M-4, M-38, M-40)', (_what, manifest, script) => {
    for (const mode of ['strict', 'yagna'] as const) {
      const plan = payloadPlan(manifest, script, { command_policy: mode });
      const findings = checkPromises(plan, manifest, { compat: true, now });
      expect(findings.flatMap(({ errors }) => errors).length, mode).toBeGreaterThan(0);
    }
  });

  it('is told by the page', () => {
    expect(rowsBelow('## Everything else: refused in both modes')?.map((row) => row.split(' | ')[0]?.slice(2))).toEqual(
      [...always, ...inPlans].map(([what]) => what),
    );
  });
});
