/**
 * Where commands are judged otherwise here than by the programs of the Golem network, one example each. The first table in
 * docs/golem.md has the same rows.
 */
import type { ExeCommand } from '../../src/contract/exe-script.ts';
import type { PayloadManifest } from '../../src/contract/payload-manifest.ts';
import { payloadManifest, withScript } from './payload-manifests.ts';

type Verdict = 'allowed' | 'refused' | 'error';

export interface CommandDifference {
  readonly what: string;
  readonly manifest: PayloadManifest;
  /** The rule as the page shows it. */
  readonly rule: string;
  readonly command: ExeCommand;
  readonly shown: string;
  readonly strict: Verdict;
  readonly yagna: Verdict;
}

const run = (entry_point: string, ...args: string[]): ExeCommand => ({ run: { entry_point, args } });
const runIn = (env: Record<string, string>, entry_point: string, ...args: string[]): ExeCommand => ({
  run: { entry_point, args, env },
});

function difference(
  what: string,
  [rule, match]: readonly [string, 'strict' | 'regex'],
  [shown, command]: readonly [string, ExeCommand],
  [strict, yagna]: readonly [Verdict, Verdict],
): CommandDifference {
  return {
    what,
    rule: `${rule}${match === 'regex' ? ' (regex)' : ''}`,
    manifest: withScript([rule], match),
    shown,
    command,
    strict,
    yagna,
  };
}

export const commandDifferences: readonly CommandDifference[] = [
  difference(
    'An expression matches all of program and arguments, not somewhere in the text of the command.',
    ['run curl.*', 'regex'],
    ['sh, -c, run curl x', run('sh', '-c', 'run curl x')],
    ['refused', 'allowed'],
  ),
  difference(
    'It has to match to the end as well.',
    ['run curl', 'regex'],
    ['curl, -o, /etc/passwd', run('curl', '-o', '/etc/passwd')],
    ['refused', 'allowed'],
  ),
  difference(
    'Arguments are compared one by one, not as one text.',
    ['run /bin/sh -c ls -la', 'strict'],
    ['/bin/sh, -c, ls -la', run('/bin/sh', '-c', 'ls -la')],
    ['refused', 'allowed'],
  ),
  difference(
    'A command without arguments has no space at its end.',
    ['run /bin/date', 'strict'],
    ['/bin/date', run('/bin/date')],
    ['allowed', 'refused'],
  ),
  difference(
    'The same for expressions.',
    ['run /bin/date$', 'regex'],
    ['/bin/date', run('/bin/date')],
    ['allowed', 'refused'],
  ),
  difference(
    'How much space is between the words of a rule does not matter.',
    ['run  /bin/date -R', 'strict'],
    ['/bin/date, -R', run('/bin/date', '-R')],
    ['allowed', 'refused'],
  ),
  difference(
    'The environment of a rule is demanded.',
    ['{"run": {"args": "/bin/date -R", "env": {"A": "42"}}}', 'strict'],
    ['A=43 /bin/date, -R', runIn({ A: '43' }, '/bin/date', '-R')],
    ['refused', 'allowed'],
  ),
  difference(
    'A rule without an environment allows none.',
    ['run /bin/date -R', 'strict'],
    ['A=1 /bin/date, -R', runIn({ A: '1' }, '/bin/date', '-R')],
    ['refused', 'allowed'],
  ),
  difference(
    'The mode of a rule may stand in its env, as documents show it.',
    ['{"run": {"args": "/bin/..te -R", "env": {"match": "regex"}}}', 'strict'],
    ['/bin/date, -R', run('/bin/date', '-R')],
    ['allowed', 'refused'],
  ),
  difference(
    'Arguments of a rule may be a list, spaces and all.',
    ['{"run": {"args": ["sh", "-c", "ls -la"]}}', 'strict'],
    ['sh, -c, ls -la', run('sh', '-c', 'ls -la')],
    ['allowed', 'refused'],
  ),
  difference(
    'A rule with a key that nobody knows is no rule.',
    ['{"run": {"args": "/bin/date -R", "cwd": "/"}}', 'strict'],
    ['/bin/date, -R', run('/bin/date', '-R')],
    ['error', 'allowed'],
  ),
  difference(
    'A rule begins with a word that there is.',
    ['run.*', 'regex'],
    ['/bin/date, -R', run('/bin/date', '-R')],
    ['error', 'allowed'],
  ),
  difference(
    'One that begins with none is told, and not passed over.',
    ['curl.*', 'regex'],
    ['curl, x', run('curl', 'x')],
    ['error', 'refused'],
  ),
  difference(
    'An expression that is not understood is told, and not passed over.',
    ['run (?=curl).*', 'regex'],
    ['curl, x', run('curl', 'x')],
    ['error', 'refused'],
  ),
  {
    what: 'A compManifest without a script allows deploy, start and terminate, not everything.',
    ...{ rule: '(no script)', manifest: payloadManifest({ compManifest: { version: '0.1.0' } }) },
    ...{ shown: '/bin/date, -R', command: run('/bin/date', '-R'), strict: 'refused', yagna: 'allowed' },
  },
];
