/** How the rules of a manifest are read, and what they allow. */
import { describe, expect, it } from 'vitest';
import type { ExeCommand } from '../../../../src/contract/exe-script.ts';
import { type CommandRule, readCommandRules } from '../../../../src/policy/promises/command-rules.ts';
import { judgeScript } from '../../../../src/policy/promises/judge-script.ts';
import { payloadManifest, withScript } from '../../../support/payload-manifests.ts';

const run = (entry_point: string, ...args: string[]): ExeCommand => ({ run: { entry_point, args } });
const runIn = (env: Record<string, string>, entry_point: string, ...args: string[]): ExeCommand => ({
  run: { entry_point, args, env },
});
const transfer = (from: string, to: string): ExeCommand => ({ transfer: { from, to } });

function judged(commands: readonly string[], match: 'strict' | 'regex' | undefined, command: ExeCommand) {
  const read = readCommandRules(withScript(commands, match), 'strict');
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const [verdict] = judgeScript(read.rules, [command]).commands;
  if (!verdict) throw new Error('no verdict');
  return verdict;
}
const strict = (rule: string, command: ExeCommand) => judged([rule], undefined, command).allowed;
const regex = (rule: string, command: ExeCommand) => judged([rule], 'regex', command).allowed;
const messages = (commands: readonly string[], match?: 'strict' | 'regex') => {
  const read = readCommandRules(withScript(commands, match), 'strict');
  return read.ok ? [] : read.errors.map(({ path, message }) => `${path.split('/').at(-1)}: ${message}`);
};

describe('a strict rule', () => {
  it('allows exactly its program and arguments (M-19, M-22)', () => {
    const rule = 'run /bin/cat /etc/motd';

    expect(strict(rule, run('/bin/cat', '/etc/motd'))).toBe(true);
    expect(strict(rule, run('/bin/cat', '/etc/motd', '/etc/shadow'))).toBe(false);
    expect(strict(rule, run('/bin/cat'))).toBe(false);
    expect(strict(rule, run('/bin/dog', '/etc/motd'))).toBe(false);
    expect(strict(rule, transfer('/bin/cat', '/etc/motd'))).toBe(false);
  });

  it('compares byte for byte: one space, one case, one form of a letter more is another (M-29)', () => {
    expect(strict('run /bin/date -R', run('/bin/date', '-R '))).toBe(false);
    expect(strict('run /bin/date -R', run('/bin/date ', '-R'))).toBe(false);
    expect(strict('run /bin/date -R', run('/bin/date', '-r'))).toBe(false);
    expect(strict('run /bin/date -R', run('/bin/date -R'))).toBe(false);
    expect(strict('run /bin/echo \u00e9', run('/bin/echo', 'e\u0301'))).toBe(false);
    expect(strict('run /bin/echo a\u00a0b', run('/bin/echo', 'a\u00a0b'))).toBe(true);
  });

  it('has as many arguments as it has words, however many spaces are between them', () => {
    expect(strict('run  /bin/date\t-R\n', run('/bin/date', '-R'))).toBe(true);
    expect(strict('run /bin/sh -c ls -la', run('/bin/sh', '-c', 'ls -la'))).toBe(false);
    expect(strict('run /bin/date', run('/bin/date'))).toBe(true);
  });

  it('is about transfers too (M-34)', () => {
    const rule = 'transfer https://a.example/x container:/golem/input/x';

    expect(strict(rule, transfer('https://a.example/x', 'container:/golem/input/x'))).toBe(true);
    expect(strict(rule, transfer('https://a.example/x', 'container:/golem/input/y'))).toBe(false);
  });

  it('is not only compared by its first word (M-18)', () => {
    expect(strict('run x', run('run', 'x'))).toBe(false);
  });
});

describe('a rule that is an expression', () => {
  it('allows what it matches as a whole (M-30, M-33)', () => {
    expect(regex('run curl.*', run('curl', 'https://x'))).toBe(true);
    expect(regex('run curl.*', run('xrun', 'curl', 'https://x'))).toBe(false);
    expect(regex('run curl.*', run('sh', '-c', 'run curl https://x'))).toBe(false);
    expect(regex('run curl', run('curl', 'https://x'))).toBe(false);
    expect(regex('run a|b', run('a'))).toBe(true);
    expect(regex('run a|ab', run('ab'))).toBe(true);
    expect(regex('run a|b', run('b', 'c'))).toBe(false);
  });

  it('is about transfers too (M-34)', () => {
    const rule = 'transfer .*/output.txt';

    expect(regex(rule, transfer('container:/golem/output/x', 'https://a.example/output.txt'))).toBe(true);
    expect(regex(rule, transfer('container:/golem/output/x', 'https://a.example/other.txt'))).toBe(false);
    expect(regex(rule, run('/bin/cat', '/output.txt'))).toBe(false);
  });

  it('is in Unicode, tells cases apart, and its dot is no line break (M-31)', () => {
    expect(regex('run echo \\pL+.', run('echo', 'жук\u{1f600}'))).toBe(true);
    expect(regex('run curl.*', run('CURL', 'x'))).toBe(false);
    expect(regex('run (?i)curl.*', run('CURL', 'x'))).toBe(true);
    expect(regex('run curl.*', run('curl', 'x\nrm'))).toBe(false);
    expect(regex('run \\Qa.b', run('a.b'))).toBe(true);
  });

  it.each(['(?=a)b', '(?!a)b', '(?<=a)b', '(?<!a)b', '(a)\\1', '(?P=a)', 'a++', '(?>a)', '[a', 'a{1001}', '(?x)a'])(
    '%s is refused when it is read (M-31)',
    (source) => {
      expect(messages(['run /bin/date', `run ${source}`], 'regex')).toEqual([
        expect.stringMatching(/^1: is no expression that is understood/),
      ]);
    },
  );

  it('is refused where it is too large, alone or with the others (M-32)', () => {
    expect(messages([`run ${'(abcdefghij){1000}'.repeat(4)}`], 'regex')[0]).toMatch('too large');
    expect(
      messages(
        Array.from({ length: 20 }, (_, index) => `run (abcdefghi){1000}${index}`),
        'regex',
      ),
    ).toEqual(['commands: has expressions that are too large']);
  });
});

describe('a rule that is JSON in a text', () => {
  const motd = '{"run": {"args": "/bin/date -R", "env": {"MYVAR": "42", "match": "strict"}}}';

  it('is a rule like the others, which it may stand among (M-20, M-21)', () => {
    const rules = ['run /bin/cat /etc/motd', motd];

    expect(judged(rules, undefined, run('/bin/cat', '/etc/motd')).allowed).toBe(true);
    expect(judged(rules, undefined, runIn({ MYVAR: '42' }, '/bin/date', '-R')).allowed).toBe(true);
  });

  it('demands its environment, no more and no less (M-23)', () => {
    expect(strict(motd, runIn({ MYVAR: '43' }, '/bin/date', '-R'))).toBe(false);
    expect(strict(motd, runIn({ MYVAR: '42', LD_PRELOAD: 'x' }, '/bin/date', '-R'))).toBe(false);
    expect(strict(motd, run('/bin/date', '-R'))).toBe(false);
    expect(strict('run /bin/date -R', runIn({ MYVAR: '42' }, '/bin/date', '-R'))).toBe(false);
    expect(strict('run /bin/date -R', runIn({}, '/bin/date', '-R'))).toBe(true);
    expect(regex('{"run": {"args": "date.*", "env": {"A": ".*"}}}', runIn({ A: 'x' }, 'date'))).toBe(false);
    expect(regex('{"run": {"args": "date.*", "env": {"A": ".*"}}}', runIn({ A: '.*' }, 'date'))).toBe(true);
  });

  it('has a mode of its own, in env or beside it (M-24, M-25)', () => {
    expect(regex(motd, runIn({ MYVAR: '42' }, '/bin/date', '-R'))).toBe(true);
    expect(regex('{"run": {"args": "/bin/..te", "match": "strict"}}', run('/bin/date'))).toBe(false);
    expect(strict('{"run": {"args": "/bin/..te", "match": "regex"}}', run('/bin/date'))).toBe(true);
    expect(strict('{"run": {"args": "/bin/..te", "env": {"match": "regex"}}}', run('/bin/date'))).toBe(true);
    expect(
      strict('{"run": {"args": "/bin/..te", "env": {"match": "regex"}, "match": "regex"}}', run('/bin/date')),
    ).toBe(true);
  });

  it('may have a list, which is the argument vector, spaces and all', () => {
    const rule = '{"run": {"args": ["/bin/sh", "-c", "ls -la"]}}';

    expect(strict(rule, run('/bin/sh', '-c', 'ls -la'))).toBe(true);
    expect(strict(rule, run('/bin/sh', '-c', 'ls', '-la'))).toBe(false);
    expect(regex(rule, run('/bin/sh', '-c', 'ls -la'))).toBe(true);
    expect(strict('{"transfer": {"args": ["a", "b"]}}', transfer('a', 'b'))).toBe(true);
  });

  it.each([
    ['{"run": {"args": "x", "match": "regex", "env": {"match": "strict"}}}', 'has match twice'],
    ['{"run": {"args": "x", "env": {"match": "glob"}}}', 'neither strict nor regex'],
    ['{"run": {"args": "x", "match": 1}}', 'neither strict nor regex'],
    ['{"run": {"args": ["x"], "match": "regex"}}', 'never an expression'],
    ['{"run": {"args": "x", "env": {"A": 42}}}', '"A" in env'],
    ['{"run": {"args": "x", "env": {"A=B": "c"}}}', '"A=B" in env'],
    ['{"run": {"args": "x", "cwd": "/"}}', 'has the key "cwd"'],
    ['{"run": {}}', 'must have args'],
    ['{"run": {"args": ""}}', 'must name a program'],
    ['{"run": {"args": []}}', 'must name a program'],
    ['{"run": "x"}', 'must have an object as its run'],
    ['{"exec": {"args": "x"}}', 'must be an object with one key'],
    ['{"run": {"args": "x"}, "transfer": {}}', 'must be an object with one key'],
    ['{"transfer": {"args": "a b", "env": {"A": "b"}}}', 'which a transfer has not'],
    ['{"transfer": {"args": "a"}}', 'must name where a file comes from'],
    ['{"run": {"args": "x"}', 'begins like JSON'],
    ['{"run": {"args": "x", "args": "y"}}', 'twice'],
    ['{"run": {"args": "x", "env": ["A"]}}', 'must have an object as its env'],
  ])('is refused when it is read: %s', (rule, message) => {
    expect(messages([rule])).toEqual([expect.stringContaining(message)]);
  });
});

describe('a list of rules', () => {
  it.each(['curl.*', 'run.*', 'RUN x', '', ' ', '"run x"', '["run"]', 'null', 'exec x', 'run', 'transfer a'])(
    'with %j is refused when it is read',
    (rule) => {
      expect(messages(['run /bin/date', rule])).toEqual([expect.stringMatching(/^1: must /)]);
    },
  );

  it('tells of all that is wrong in it at once', () => {
    expect(messages(['run (', 'x', 'run a'], 'regex')).toHaveLength(2);
  });

  it('always allows deploy, start and terminate, and what else it is about if it is empty is nothing (M-26)', () => {
    const always: ExeCommand[] = [{ deploy: {} }, { start: {} }, { start: { args: [] } }, { terminate: {} }];

    expect(always.map((command) => judged([], undefined, command).allowed)).toEqual([true, true, true, true]);
    expect(judged([], undefined, run('/bin/date'))).toMatchObject({
      ...{ allowed: false, rule: null, reason: 'the manifest has no rule about run' },
    });
  });

  it('that is missing allows those three and nothing else (M-27)', () => {
    const read = readCommandRules(payloadManifest({ compManifest: { version: '0.1.0', script: {} } }), 'strict');
    const bare = readCommandRules(payloadManifest({ compManifest: { version: '0.1.0' } }), 'strict');

    const allowed = [read, bare].map((each) =>
      each.ok ? judgeScript(each.rules, [{ deploy: {} }, { start: {} }, run('/bin/date')]).commands : [],
    );
    expect(allowed.map((commands) => commands.map((command) => command.allowed))).toEqual([
      [true, true, false],
      [true, true, false],
    ]);
  });

  it('of a manifest that promises nothing allows everything (M-8)', () => {
    const read = readCommandRules(payloadManifest(), 'strict');

    expect(read.ok && judgeScript(read.rules, [run('/bin/anything')]).allowed).toBe(true);
  });

  it('is strict where it does not say what it is (M-28)', () => {
    expect(judged(['run /bin/.*'], undefined, run('/bin/date')).allowed).toBe(false);
    expect(judged(['run /bin/.*'], 'strict', run('/bin/date')).allowed).toBe(false);
    expect(judged(['run /bin/.*'], 'regex', run('/bin/date')).allowed).toBe(true);
  });

  it('is warned about where a rule means less than it seems to', () => {
    const rules = ["run sh -c 'a b'", 'deploy now', 'sign', 'run a', 'start'];
    const read = readCommandRules(withScript(rules), 'strict');

    expect(read.ok && read.warnings.map(({ path }) => path.split('/').at(-1))).toEqual(['0', '1', '2']);
  });
});

describe('a refusal', () => {
  it.each([
    [run('/bin/date', '-u'), 'run /bin/date -R', 'its argument 1 is -u, and -R in the rule'],
    [run('/bin/date'), 'run /bin/date -R', 'it has no arguments, and 1 argument in the rule'],
    [
      run('/bin/cat', '/etc/passwd'),
      'run /bin/cat /etc/motd',
      'its argument 1 is /etc/passwd, and /etc/motd in the rule',
    ],
    [runIn({ A: 'b' }, '/bin/date', '-R'), 'run /bin/date -R', 'it sets A, and the rule does not'],
    [transfer('container:/golem/output/x', 'https://a.example/y'), null, 'the manifest has no rule about transfer'],
  ])('names the nearest rule, and in what it differs: %j', (command, rule, reason) => {
    expect(judged(['run /bin/cat /etc/motd', 'run /bin/date -R'], undefined, command)).toEqual({
      ...{ index: 0, allowed: false, rule, reason },
    });
  });

  it('is never larger than a screen', () => {
    const { reason } = judged(['run /bin/echo a'], undefined, run('/bin/echo', 'b'.repeat(30_000)));

    expect(reason.length).toBeLessThan(300);
  });
});

describe('expressions that take others long (M-32)', () => {
  const bombs = ['(a+)+b', '(a|aa)+b', '(.*a){20}b', '(a*)*b', '(x+x+)+y', '([a-z]+.?)+\\d', '(a?){30}a{30}b'];

  it.each(bombs)('%s is done with in a moment, however long the command', (bomb) => {
    const read = readCommandRules(withScript([`run ${bomb}`], 'regex'), 'strict');
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const begun = performance.now();
    const { allowed } = judgeScript(read.rules, [run('a'.repeat(30_000)), run('x'.repeat(30_000))]);

    expect(allowed).toBe(false);
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it('take no more than a script is worth, and then refuse', () => {
    const rules = Array.from({ length: 8 }, (_, index) => `run (.*a){1000}${'b'.repeat(index)}`);
    const read = readCommandRules(withScript(rules, 'regex'), 'strict');
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const begun = performance.now();
    const { commands } = judgeScript(
      read.rules,
      Array.from({ length: 128 }, () => run('ba'.repeat(400))),
    );

    expect(commands.at(-1)).toMatchObject({ allowed: false, reason: expect.stringContaining('too long') });
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it('are not tried again to say why a command is refused, and the first of the nearest is named', () => {
    let tried = 0;
    const rule = (text: string, plain: string): CommandRule => {
      const differs = () => {
        tried += 1;
        return `not ${text}`;
      };
      return { ...{ text, word: 'run', plain, size: 1, lead: '' }, differs };
    };
    const rules = [rule('far', 'run x'), rule('near', 'run a.*'), rule('as near', 'run a.?')];
    const judgement = judgeScript({ kind: 'listed', mode: 'strict', rules }, [run('abc')]);

    expect(judgement.commands).toMatchObject([{ allowed: false, rule: 'near', reason: 'not near' }]);
    expect(tried).toBe(3);
  });

  it('cost nothing for commands that begin otherwise, so that the largest batch fits', () => {
    const rules = Array.from({ length: 20 }, (_, at) => `run /bin/tool-${at} (--[a-z]+ [0-9]{1,3} )*/golem/.*\\.csv`);
    const read = readCommandRules(withScript(rules, 'regex'), 'strict');
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const batch = Array.from({ length: 128 }, (_, at) =>
      run(`/bin/tool-${at % 20}`, '--level', '7', '/golem/input/data.csv'),
    );

    expect(judgeScript(read.rules, batch).allowed).toBe(true);
  });

  it.each([
    ['a*b', 'b'],
    ['ab?c', 'ac'],
    ['ab{0}c', 'ac'],
    ['ab+c', 'abbc'],
    ['ab|cd', 'cd'],
    ['(?i)ab', 'AB'],
    ['a-b:/c d.', 'a-b:/c dx'],
  ])('%s is held against %s all the same', (source, command) => {
    expect(regex(`run ${source}`, run(command))).toBe(true);
  });
});
