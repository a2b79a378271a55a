/** `systemd/guard`, as it is run, on folders of the test's own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type GuardedHost, guardedHost, hostOnTrial } from '../../../support/guarded-host.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('guard');
let count = 0;
let folder: string;

beforeEach(() => {
  count += 1;
  folder = join(root, String(count));
});

const gate = 'gpuaas-node-agent-gate.service';
const agent = 'gpuaas-node-agent.service';
const timer = 'gpuaas-node-agent-trial.timer';

function factsOf(host: GuardedHost, name: string): Record<string, string> {
  const lines = (host.guarded(name) ?? '').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

describe('behind an end of agent and gate', () => {
  const stoodStill = { env: { SERVICE_RESULT: 'watchdog' } };

  it.each([
    [agent, gate, 'It stood still.'],
    [gate, agent, 'Its gate stood still.'],
  ])(
    'a version on trial of which %s stood still is rolled back at once, and %s is restarted as well',
    (unit, other, why) => {
      const host = hostOnTrial(folder, { attempts: 1 });
      host.say('alive', '0.2.0 n1\n');

      expect(host.guard(['stopped', unit], stoodStill).code).toBe(0);

      expect([host.runs(), host.guarded('pending'), host.guarded('skipped')]).toEqual([
        '0.1.0',
        undefined,
        `0.2.0 ${why}\n`,
      ]);
      expect(factsOf(host, 'last')).toMatchObject({ outcome: 'rolled_back', reason: why });
      expect(host.calls()).toEqual([`--no-block stop ${timer}`, `--no-block restart ${other}`]);
    },
  );

  it.each([
    ['it ended otherwise', { attempts: 1 }, { SERVICE_RESULT: 'exit-code' }],
    ['nobody says why it ended', { attempts: 1 }, {}],
    ['it was the version before, which had not been restarted yet', { attempts: 0 }, { SERVICE_RESULT: 'watchdog' }],
  ])('nothing happens where %s', (_what, pending, env) => {
    const host = hostOnTrial(folder, pending);

    expect(host.guard(['stopped', agent], { env })).toMatchObject({ code: 0, said: '' });

    expect([host.runs(), host.calls(), host.guarded('last')]).toEqual(['0.2.0', [], undefined]);
  });

  it('nothing happens where no version is on trial', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.point('current', '0.1.0');

    expect(host.guard(['stopped', agent], stoodStill)).toMatchObject({ code: 0, said: '' });
    expect([host.runs(), host.calls()]).toEqual(['0.1.0', []]);
  });
});

describe('before a start of the agent', () => {
  it('a version that has proven itself is committed, however often it was started: that was cut short', () => {
    const host = hostOnTrial(folder, { attempts: 3 });
    host.say('stable', '0.2.0 n1\n');

    expect(host.guard(['start']).code).toBe(0);

    expect([host.runs(), host.guarded('pending'), factsOf(host, 'last')['outcome']]).toEqual([
      '0.2.0',
      undefined,
      'committed',
    ]);
  });

  it('nothing happens where no version is on trial', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.point('current', '0.1.0');

    expect(host.guard(['start'])).toMatchObject({ code: 0, said: '' });
    expect(host.calls()).toEqual([]);
  });

  it('starts of a version on trial are counted, and the look at it is set going', () => {
    const host = hostOnTrial(folder);

    const { code } = host.guard(['start']);

    expect(code).toBe(0);
    expect(factsOf(host, 'pending')).toMatchObject({ to: '0.2.0', attempts: '1', since: '100' });
    expect(host.calls()).toEqual([`--no-block start ${timer}`]);
    expect(host.runs()).toBe('0.2.0');
  });

  it('the fourth start is one of the version before; the new one is skipped, with the reason', () => {
    const host = hostOnTrial(folder);
    for (let start = 1; start <= 3; start += 1) {
      host.guard(['start']);
      expect(host.runs()).toBe('0.2.0');
    }
    host.calls();

    expect(host.guard(['start']).code).toBe(0);

    expect(host.runs()).toBe('0.1.0');
    expect(host.guarded('pending')).toBeUndefined();
    expect(host.guarded('skipped')).toBe('0.2.0 It was started 3 times and did not stay.\n');
    expect(factsOf(host, 'last')).toMatchObject({
      ...{ outcome: 'rolled_back', version: '0.2.0', from: '0.1.0', task: 'task-1', nonce: 'n1' },
      ...{ code: 'update.rolled_back', reason: 'It was started 3 times and did not stay.' },
    });
    expect(host.calls()).toEqual([`--no-block stop ${timer}`, `--no-block restart ${gate}`]);
  });

  it('starts are counted in memory as well: a disk that is full keeps nobody from going back', () => {
    const host = hostOnTrial(folder);
    // Where nothing can be put in the place of `pending`, as on a full disk.
    mkdirSync(join(host.places.guarded, 'pending.new'));
    mkdirSync(join(host.places.guarded, 'last.new'));
    mkdirSync(join(host.places.guarded, 'skipped.new'));

    for (let start = 1; start <= 4; start += 1) expect(host.guard(['start']).code).toBe(0);

    expect(host.runs()).toBe('0.1.0');
    expect(host.guarded('pending')).toBeUndefined();
  });

  it('a boot begins the time of the trial anew, not the count', () => {
    const host = hostOnTrial(folder, { attempts: 2, since: 5000 });
    host.reboot();
    host.setUptime(12);

    host.guard(['start']);

    expect(factsOf(host, 'pending')).toMatchObject({ attempts: '3', since: '12' });
  });

  it('a swap that was cut short before the link is none', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.install('0.2.0');
    host.point('current', '0.1.0');
    host.writePending();

    expect(host.guard(['start']).code).toBe(0);

    expect([host.runs(), host.guarded('pending')]).toEqual(['0.1.0', undefined]);
    expect(factsOf(host, 'last')).toMatchObject({ outcome: 'failed', nonce: 'n1' });
  });

  it('a roll back that was cut short behind the decision is done again, and the version gets no other trial', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    const reason = 'It was not well within 75 seconds.';
    const last = `outcome=rolled_back\nversion=0.2.0\nfrom=0.1.0\ntask=task-1\nnonce=n1\ncode=update.rolled_back\nreason=${reason}\n`;
    writeFileSync(join(host.places.guarded, 'last'), last);
    host.reboot();

    expect(host.guard(['start']).code).toBe(0);

    expect([host.runs(), host.guarded('pending')]).toEqual(['0.1.0', undefined]);
    expect([host.guarded('last'), host.guarded('skipped')]).toEqual([last, `0.2.0 ${reason}\n`]);
  });

  it('a version that was rolled back before is tried where it was asked for anew', () => {
    const host = hostOnTrial(folder);
    writeFileSync(join(host.places.guarded, 'last'), 'outcome=rolled_back\nversion=0.2.0\nnonce=n0\n');

    host.guard(['start']);

    expect([host.runs(), factsOf(host, 'pending')['attempts']]).toEqual(['0.2.0', '1']);
  });

  it('a new version whose program is gone is not tried', () => {
    const host = hostOnTrial(folder);
    rmSync(join(host.places.installed, 'versions/0.2.0'), { recursive: true });

    expect(host.guard(['start']).code).toBe(0);

    expect(host.runs()).toBe('0.1.0');
  });

  it('goes back to `previous` where the version before is gone', () => {
    const host = hostOnTrial(folder, { attempts: 3 });
    rmSync(join(host.places.installed, 'versions/0.1.0'), { recursive: true });
    host.install('0.0.9');
    host.point('previous', '0.0.9');

    host.guard(['start']);

    expect(host.runs()).toBe('0.0.9');
  });

  it('stays with the new version where there is nothing to go back to, and says so', () => {
    const host = hostOnTrial(folder, { attempts: 3 });
    rmSync(join(host.places.installed, 'versions/0.1.0'), { recursive: true });

    expect(host.guard(['start'])).toMatchObject({ code: 0, said: expect.stringContaining('nothing to go back to') });

    expect(host.runs()).toBe('0.2.0');
    expect(factsOf(host, 'last')).toMatchObject({ outcome: 'stuck' });
  });

  it.each([
    ['is empty', ''],
    ['is noise', '\u0000\u0001\n=\n'],
    ['names a folder for a version', 'from=../../../tmp/x\nto=0.2.0\nnonce=n1\nattempts=9\n'],
    ['has no number of the swap', 'from=0.1.0\nto=0.2.0\nattempts=9\n'],
  ])('a pending that %s decides nothing', (_what, text) => {
    const host = hostOnTrial(folder);
    writeFileSync(join(host.places.guarded, 'pending'), text);

    expect(host.guard(['start']).code).toBe(0);

    expect([host.runs(), host.guarded('pending')]).toEqual(['0.2.0', undefined]);
  });

  it('a link that leads nowhere is led to what there is', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.point('current', '0.3.0');

    host.guard(['start']);

    expect(host.runs()).toBe('0.1.0');
  });

  it('nothing is so wrong that the agent is not started', () => {
    const host = guardedHost(folder);
    rmSync(host.places.guarded, { recursive: true });
    rmSync(host.places.installed, { recursive: true });
    writeFileSync(host.places.guarded, 'a file where a folder was');

    expect(host.guard(['start']).code).toBe(0);
  });
});

describe('a version on trial', () => {
  it('stays once it says that it is stable: it is remembered, what is older than the one before goes', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.install('0.0.9');
    host.say('stable', '0.2.0 n1\n');

    expect(host.guard(['settle']).code).toBe(0);

    expect([host.link('current'), host.link('previous')]).toEqual(['versions/0.2.0', 'versions/0.1.0']);
    expect(host.versions()).toEqual(['0.1.0', '0.2.0']);
    expect(host.guarded('memory')).toBe('seq=7\nfloor=3\nkeys_seq=2\n');
    expect(host.guarded('pending')).toBeUndefined();
    expect(factsOf(host, 'last')).toMatchObject({ outcome: 'committed', version: '0.2.0', task: 'task-1' });
    expect(host.calls()).toEqual([`--no-block stop ${timer}`]);
  });

  it.each([
    ['seq=9\nfloor=1\nkeys_seq=1\n', 'seq=9\nfloor=3\nkeys_seq=2\n'],
    ['seq=1\nfloor=4\nkeys_seq=1\n', 'seq=7\nfloor=4\nkeys_seq=2\n'],
    ['seq=1\nfloor=1\nkeys_seq=5\n', 'seq=7\nfloor=3\nkeys_seq=5\n'],
  ])('lets no number of the memory fall: %j', (before, after) => {
    const host = hostOnTrial(folder, { attempts: 1 });
    writeFileSync(join(host.places.guarded, 'memory'), before);
    host.say('stable', '0.2.0 n1\n');

    host.guard(['settle']);

    expect(host.guarded('memory')).toBe(after);
  });

  it('is committed again where the version before could not be written down', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.say('stable', '0.2.0 n1\n');
    mkdirSync(join(host.places.installed, 'previous'));

    expect(host.guard(['settle']).code).toBe(1);
    expect([factsOf(host, 'pending')['to'], host.guarded('last'), host.calls()]).toEqual(['0.2.0', undefined, []]);

    rmSync(join(host.places.installed, 'previous'), { recursive: true });
    expect(host.guard(['settle']).code).toBe(0);
    expect([host.link('previous'), host.guarded('pending')]).toEqual(['versions/0.1.0', undefined]);
  });

  it('that was decided against is given up at the next look, whatever it says', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    writeFileSync(join(host.places.guarded, 'last'), 'outcome=rolled_back\nnonce=n1\nreason=It hung.\n');
    host.say('stable', '0.2.0 n1\n');

    host.guard(['settle']);

    expect([host.runs(), host.guarded('skipped')]).toEqual(['0.1.0', '0.2.0 It hung.\n']);
  });

  it.each([
    ['of another swap', '0.2.0 n0\n'],
    ['of another version', '0.3.0 n1\n'],
    ['that is empty', ''],
    ['with more behind it', '0.2.0 n1 x\n'],
  ])('is not kept by a word %s', (_what, text) => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.say('stable', text);

    host.guard(['settle']);

    expect(factsOf(host, 'pending')).toMatchObject({ to: '0.2.0' });
  });

  it('is given up when its time is over and it was never well', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.setUptime(174);
    host.guard(['settle']);
    expect(host.runs()).toBe('0.2.0');

    host.setUptime(175);
    host.guard(['settle']);

    expect(host.runs()).toBe('0.1.0');
    expect(factsOf(host, 'last')['reason']).toBe('It was not well within 75 seconds.');
    expect(host.calls()).toEqual([
      `--no-block stop ${timer}`,
      `kill --signal=SIGKILL ${agent}`,
      `--no-block restart ${gate} ${agent}`,
    ]);
  });

  it('that was well has half an hour to be stable', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.say('alive', '0.2.0 n1\n');
    host.setUptime(1899);
    host.guard(['settle']);
    expect(host.runs()).toBe('0.2.0');

    host.setUptime(1900);
    host.guard(['settle']);

    expect(host.runs()).toBe('0.1.0');
  });

  it('that was never started is started where the one before asks again: the swap was cut short behind the link', () => {
    const host = hostOnTrial(folder);
    host.say('request', '0.2.0 task-1 n1\n');
    writeFileSync(join(host.places.guarded, 'handled'), '0.2.0 task-1 n1\n');
    host.guard(['settle']);
    expect(host.calls()).toEqual([]);

    host.say('request', '0.2.0 task-1 n2\n');
    host.guard(['settle']);

    expect(host.calls()).toEqual([`--no-block restart ${timer}`, `--no-block restart ${gate} ${agent}`]);
  });

  it('takes no other request', () => {
    const host = hostOnTrial(folder, { attempts: 1 });
    host.say('request', '0.3.0 task-2 n2\n');

    host.guard(['settle']);

    expect(host.guarded('handled')).toBeUndefined();
  });
});

describe('a request of the agent', () => {
  /** A version that only writes down how it was called. */
  function asked(): GuardedHost {
    const host = guardedHost(folder);
    host.install('0.1.0', `#!/bin/sh\necho "$*" >>${folder}/asked\nexit 3\n`);
    host.point('current', '0.1.0');
    return host;
  }
  const askedOf = (host: GuardedHost) => {
    host.guard(['settle']);
    return execFileSync('sh', ['-c', `cat ${folder}/asked 2>/dev/null || true`], { encoding: 'utf8' });
  };

  it('is handed to the version that runs, once', () => {
    const host = asked();
    host.say('request', '0.2.0 task-1 n1\n');

    expect(askedOf(host)).toBe('update --apply 0.2.0 --task task-1 --nonce n1\n');
    expect(askedOf(host)).toBe('update --apply 0.2.0 --task task-1 --nonce n1\n');
    expect(factsOf(host, 'last')).toMatchObject({ outcome: 'failed', nonce: 'n1', reason: 'It ended with status 3.' });
  });

  it('by root has a name of its own each time, also twice in a second', () => {
    const host = asked();
    for (const _ of [1, 2]) expect(host.guard(['apply', '0.2.0']).code).toBe(3);

    const names = readFileSync(join(folder, 'asked'), 'utf8').match(/--nonce [0-9A-Za-z_-]{1,64}$/gm) ?? [];
    expect(new Set(names).size).toBe(2);
  });

  it.each([
    ['a folder', '../../x task-1 n1\n'],
    ['a path', '0.2.0/../../x task-1 n1\n'],
    ['a flag', '--from task-1 n1\n'],
    ['a command', '0.2.0;reboot task-1 n1\n'],
    ['a pattern', '* task-1 n1\n'],
    ['two words', '0.2.0 task-1\n'],
    ['four words', '0.2.0 task-1 n1 --from\n'],
    ['a flag for a task', '0.2.0 --from n1\n'],
    ['a second line', '0.2.0 task-1\nn1\n'],
    ['nothing', '\n'],
    ['much', 'x'.repeat(100_000)],
  ])('with %s in it is none', (_what, text) => {
    const host = asked();
    host.say('request', text);

    expect(askedOf(host)).toBe('');
  });

  it.each<[string, (file: string) => void]>([
    ['a link', (file) => symlinkSync('/etc/passwd', file)],
    ['a pipe that nobody writes to', (file) => void execFileSync('mkfifo', [file])],
    ['a folder', (file) => void mkdirSync(file)],
    ['a device that never ends', (file) => symlinkSync('/dev/zero', file)],
  ])('that is %s is none, and nobody waits for it', (_what, make) => {
    const host = asked();
    make(join(host.places.staged, 'request'));

    expect(askedOf(host)).toBe('');
  });
});

describe('while somebody else is at it', () => {
  const env = { GUARD_LOCK_SECONDS: '0' };
  const others: ChildProcess[] = [];
  afterEach(() => {
    for (const other of others.splice(0)) other.stdin?.end();
  });

  async function lockedBy(host: GuardedHost): Promise<void> {
    const other = spawn('flock', [join(host.places.guarded, 'lock'), 'sh', '-c', 'echo held; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    others.push(other);
    await once(other.stdout as Readable, 'data');
  }

  it.each([
    [['settle'], { attempts: 1, since: 5 }],
    [['back'], { attempts: 1 }],
    [['apply', '0.3.0'], {}],
    [['skip', '0.3.0'], {}],
    [['unskip', '0.3.0'], {}],
  ])('%j changes nothing, and says so', async (args, pending) => {
    const host = hostOnTrial(folder, pending);
    const before = host.guarded('pending');
    writeFileSync(join(host.places.guarded, 'skipped'), '0.3.0 slow\n');
    await lockedBy(host);

    expect(host.guard(args, { env })).toMatchObject({ code: 75, said: expect.stringContaining('somebody else') });

    expect([host.runs(), host.guarded('pending'), host.guarded('last')]).toEqual(['0.2.0', before, undefined]);
    expect([host.guarded('skipped'), host.calls()]).toEqual(['0.3.0 slow\n', []]);
  });

  it('a start is counted all the same', async () => {
    const host = hostOnTrial(folder);
    await lockedBy(host);

    expect(host.guard(['start'], { env }).code).toBe(0);

    expect(factsOf(host, 'pending')).toMatchObject({ to: '0.2.0', attempts: '1' });
  });

  it('a start takes nothing for cut short that is being made', async () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.install('0.2.0');
    host.point('current', '0.1.0');
    host.writePending();
    await lockedBy(host);

    expect(host.guard(['start'], { env }).code).toBe(0);

    expect(factsOf(host, 'pending')).toMatchObject({ to: '0.2.0', attempts: '0' });
    expect(host.guarded('last')).toBeUndefined();
  });
});

describe('somebody on the host', () => {
  it('goes back to the version before, which is not left again by itself', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.install('0.2.0');
    host.point('current', '0.2.0');
    host.point('previous', '0.1.0');

    expect(host.guard(['back']).code).toBe(0);

    expect([host.runs(), host.link('previous')]).toEqual(['0.1.0', 'versions/0.2.0']);
    expect(host.guarded('skipped')).toBe('0.2.0 Somebody on the host went back from it.\n');
    expect(host.calls()).toEqual([`--no-block restart ${gate} ${agent}`]);
  });

  it('does not get below the floor', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.install('0.2.0');
    host.point('current', '0.2.0');
    host.point('previous', '0.1.0');
    writeFileSync(join(host.places.installed, 'versions/0.1.0/seq'), '4\n');
    writeFileSync(join(host.places.guarded, 'memory'), 'seq=9\nfloor=5\nkeys_seq=1\n');

    expect(host.guard(['back']).code).toBe(1);
    expect(host.runs()).toBe('0.2.0');
  });

  it('ends a trial early', () => {
    const host = hostOnTrial(folder, { attempts: 1 });

    host.guard(['back']);

    expect([host.runs(), host.guarded('pending')]).toEqual(['0.1.0', undefined]);
  });

  it('goes nowhere where there is no version before', () => {
    const host = guardedHost(folder);
    host.install('0.1.0');
    host.point('current', '0.1.0');

    expect(host.guard(['back']).code).toBe(1);
    expect(host.runs()).toBe('0.1.0');
  });

  it('skips a version and takes it again, each once', () => {
    const host = guardedHost(folder);

    host.guard(['skip', '0.2.0', 'It is\nslow.']);
    host.guard(['skip', '0.2.0']);
    host.guard(['skip', '0.2.0-1']);
    expect(host.guarded('skipped')).toBe('0.2.0 It is slow.\n0.2.0-1 Somebody on the host asked for it.\n');

    host.guard(['unskip', '0.2.0']);
    expect(host.guarded('skipped')).toBe('0.2.0-1 Somebody on the host asked for it.\n');
  });

  it.each([[['skip', '..']], [['skip']], [['unskip', '*']], [['apply', 'x']], [['nonsense']], [[]]])(
    'is refused %j',
    (args) => {
      expect(guardedHost(folder).guard(args).code).toBe(2);
    },
  );

  it('is told how it stands', () => {
    const host = hostOnTrial(folder);

    expect(host.guard(['status']).code).toBe(0);
  });
});
