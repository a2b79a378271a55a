/** What it costs to hold commands against the rules of a manifest: batches of the largest size, in one process, the rules read anew for each. */
import { type ExeScript, maxCommands } from '../src/contract/exe-script.ts';
import type { PayloadManifest } from '../src/contract/payload-manifest.ts';
import { readCommandRules } from '../src/policy/promises/command-rules.ts';
import { judgeScript } from '../src/policy/promises/judge-script.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 40;
const counted = 10_000;
const targetMs = 1000;

const strict = Array.from(
  { length: 20 },
  (_, index) => `run /usr/bin/tool-${index} --level ${index} /golem/input/data.csv`,
);
const regex = Array.from(
  { length: 20 },
  (_, index) => `run /usr/bin/tool-${index} (--[a-z]+ [0-9]{1,3} )*/golem/input/.*\\.csv`,
);

/** As many commands, every third of which no rule allows. */
const script: ExeScript = Array.from({ length: maxCommands }, (_, index) => ({
  run: {
    entry_point: `/usr/bin/tool-${index % 20}`,
    args: ['--level', String(index % 20), index % 3 === 0 ? '/golem/output/data.bin' : '/golem/input/data.csv'],
  },
}));

export async function commandsCost(): Promise<Measurement[]> {
  return [await costOf('strict', strict), await costOf('regex', regex)];
}

async function costOf(match: 'strict' | 'regex', commands: string[]): Promise<Measurement> {
  const manifest = {
    compManifest: { version: '0.1.0', script: { commands, match } },
  } satisfies Partial<PayloadManifest>;
  const [ours, theirs]: [number[], number[]] = [[], []];
  const whole = commands.map((rule) => new RegExp(`^(?:${rule})$`));
  const texts = script.map(({ run }) => ['run', run?.entry_point, ...(run?.args ?? [])].join(' '));
  for (let round = 0; round < rounds; round += 1) {
    theirs.push(await timed(async () => texts.map((text) => whole.some((rule) => rule.test(text)))));
    ours.push(
      await timed(async () => {
        const read = readCommandRules(manifest, 'strict');
        if (!read.ok) throw new Error('the rules cannot be read');
        return judgeScript(read.rules, script);
      }),
    );
  }
  const [each, other] = [ours, theirs].map((values) => (median(values) / maxCommands) * counted) as [number, number];
  return {
    ...{ name: `${counted} commands held against 20 rules, ${match}`, unit: 'ms', ours: each, theirs: other },
    ...{ against: "JavaScript's own expressions, which a rule can stall, and no word of why" },
    ...{ target: `at most ${targetMs} ms`, met: each <= targetMs },
  };
}
