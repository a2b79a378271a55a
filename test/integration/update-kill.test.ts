/**
 * SIGKILL at every step of an update (FAULTS 15): before each change that the root side makes, and before each program that the
 * guard runs. What is there afterwards is the old version or the new one, never half of one and never a link that leads
 * nowhere; and whoever comes next brings it to an end.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { type GuardedHost, guardedHost, hostOnTrial, programOf } from '../support/guarded-host.ts';
import { publisher, writeRelease } from '../support/signed-release.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = temporaryFolder('update-kill');
const source = resolve(import.meta.dirname, '../..');
const limitMs = 900_000;
let count = 0;

/** `runs` throws where the link leads nowhere; a program that is cut says nothing. */
function expectOldOrNew(host: GuardedHost, at: number): void {
  expect(['0.1.0', '0.2.0'], `after step ${at}`).toContain(host.runs());
}

/** The power comes back: the agent is started, and what waits is settled until nothing more happens. */
function comeBack(host: GuardedHost): void {
  host.reboot();
  host.setUptime(20);
  expect(host.guard(['start']).code).toBe(0);
  host.guard(['settle']);
}

/** Counts up until a run gets to its end. The number of kills. */
function atEachStep(make: () => GuardedHost, args: string[], judge: (host: GuardedHost) => void): number {
  for (let at = 1; ; at += 1) {
    const host = make();
    const { killed } = host.guard(args, { killAt: at });
    expectOldOrNew(host, at);
    if (killed) comeBack(host);
    expectOldOrNew(host, at);
    judge(host);
    if (!killed) return at - 1;
  }
}

const folder = () => {
  count += 1;
  return join(root, String(count));
};

it(
  'a commit, after three starts: it is committed, once somebody comes back to it',
  () => {
    const kills = atEachStep(
      () => {
        const host = hostOnTrial(folder(), { attempts: 3 });
        host.install('0.0.9');
        host.say('stable', '0.2.0 n1\n');
        return host;
      },
      ['settle'],
      (host) => {
        expect([host.runs(), host.link('previous'), host.guarded('pending')]).toEqual([
          '0.2.0',
          'versions/0.1.0',
          undefined,
        ]);
        expect(host.guarded('memory')).toBe('seq=7\nfloor=3\nkeys_seq=2\n');
        expect(host.guarded('last')).toContain('outcome=committed\n');
      },
    );

    expect(kills).toBeGreaterThan(10);
  },
  limitMs,
);

it.each([
  ['by the fourth start', ['start'], { attempts: 3 }],
  ['when the time is over', ['settle'], { attempts: 1, since: 5 }],
  ['by an operator', ['back'], { attempts: 1 }],
])(
  'a roll back %s: it is rolled back or still counted, and then rolled back',
  (_what, args, pending) => {
    const kills = atEachStep(
      () => hostOnTrial(folder(), pending),
      args,
      (host) => {
        // What was decided is not tried again.
        if (host.guarded('last') !== undefined) expect(host.runs()).toBe('0.1.0');
        // Each further start is counted; a version that is not well gets no more than its three.
        for (let start = 1; start <= 3; start += 1) host.guard(['start']);
        expect([host.runs(), host.guarded('pending')]).toEqual(['0.1.0', undefined]);
        expect(host.guarded('skipped')).toMatch(/^0\.2\.0 [^\n]*\n$/);
        expect(host.guarded('last')).toContain('outcome=rolled_back\n');
      },
    );

    expect(kills).toBeGreaterThan(5);
  },
  limitMs,
);

it(
  'a start that is counted: it is counted once or once more, and the version stays on trial',
  () => {
    atEachStep(
      () => hostOnTrial(folder()),
      ['start'],
      (host) => {
        expect(host.runs()).toBe('0.2.0');
        expect(host.guarded('pending')).toMatch(/^attempts=[12]$/m);
      },
    );
  },
  limitMs,
);

/** 0.1.0 is the agent as it is here, killed before its n-th change of a file where that is wanted. */
function hostWithRequest(killAt?: number): GuardedHost {
  const host = guardedHost(folder());
  const preload = join(source, 'test/support/killed-at.ts');
  const kill = `GPUAAS_TEST_KILL_UNDER=${host.folder} GPUAAS_TEST_KILL_AT=${killAt} NODE_OPTIONS='--import ${preload}'`;
  const agent = `#!/bin/sh
[ "$1" = version ] && { echo 0.1.0; exit; }
${killAt === undefined ? '' : `[ -e ${host.folder}/again ] || export ${kill}`}
exec ${process.execPath} ${join(source, 'src/cli/node-agent.ts')} "$@"
`;
  host.install('0.1.0', agent);
  host.point('current', '0.1.0');
  const ours = publisher();
  writeFileSync(host.places.releaseRoot, ours.root.pem);
  writeFileSync(join(host.folder, 'etc/gpuaas-node-agent/agent.json'), '{"allocation":{"id":"a","user":"nobody"}}');
  writeRelease(host.places.staged, ours.release('0.2.0', programOf('0.2.0')));
  host.say('request', '0.2.0 task-1 n1\n');
  return host;
}

/** The agent asks again, and this time nobody is killed. */
function expectNewAfterAll(host: GuardedHost): void {
  writeFileSync(join(host.folder, 'again'), '');
  if (host.guarded('pending') === undefined) {
    host.say('request', '0.2.0 task-1 n2\n');
    expect(host.guard(['settle']).said).toContain('0.2.0 takes over');
  }
  expect(host.runs()).toBe('0.2.0');
  expect(host.guarded('pending')).toContain('to=0.2.0\n');
}

it(
  'a swap, at each change of the version that installs',
  () => {
    let at = 1;
    for (; ; at += 1) {
      const host = hostWithRequest(at);
      const { code } = host.guard(['settle']);
      expectOldOrNew(host, at);
      const swapped = code === 0;
      if (!swapped) comeBack(host);
      expectOldOrNew(host, at);
      expectNewAfterAll(host);
      if (swapped && host.guarded('last') === undefined) break;
    }

    expect(at).toBeGreaterThan(20);
  },
  limitMs,
);

it(
  'a swap, at each program of the guard',
  () => {
    const kills = atEachStep(
      () => hostWithRequest(),
      ['settle'],
      (host) => expectNewAfterAll(host),
    );

    expect(kills).toBeGreaterThan(3);
  },
  limitMs,
);
