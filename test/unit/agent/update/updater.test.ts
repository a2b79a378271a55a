/** `agent.self_update` on the agent's side: against a control plane that serves files, and a guard that a test plays. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import type { UpdateConfig } from '../../../../src/agent/update/update-config.ts';
import { Updater, type UpdaterParts, type UpdateWish } from '../../../../src/agent/update/updater.ts';
import { releasePapers } from '../../../../src/contract/release.ts';
import { type Clock, systemClock } from '../../../../src/kit/clock.ts';
import type { ReleasePapers } from '../../../../src/policy/release-trust.ts';
import { until } from '../../../support/daemon-ground.ts';
import { type GuardedHost, guardedHost, programOf } from '../../../support/guarded-host.ts';
import { publisher, type SignedRelease, signingPair } from '../../../support/signed-release.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

/** It looks every few milliseconds what has become of its request. */
const hasty: Clock = { ...systemClock, pause: (_ms, signal) => systemClock.pause(5, signal) };
const root = temporaryFolder('updater');
const ours = publisher();
const open: (() => void)[] = [];
let count = 0;
afterEach(() => {
  for (const close of open.splice(0)) close();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

/** `meddle` answers itself where it returns true. */
async function controlPlane(releases: readonly SignedRelease[], meddle: Answer = () => false) {
  const server = createServer((request, response) => {
    const [, , , , version, name] = (request.url ?? '').split('/');
    const found =
      releases.find(({ release }) => release.version === version) ??
      (version === 'stable' ? releases.at(-1) : undefined);
    if (request.headers.authorization !== 'Bearer secret') response.writeHead(401).end();
    else if (!found) response.writeHead(404).end();
    else if (!meddle(request, response)) send(request, response, bytesOf(found, name ?? ''));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function bytesOf({ papers, packed }: SignedRelease, name: string): Uint8Array {
  const paper = (Object.keys(releasePapers) as (keyof ReleasePapers)[]).find((each) => releasePapers[each] === name);
  return paper ? papers[paper] : packed;
}

function send({ headers }: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200).end(bytes.subarray(from));
}

interface Bench {
  readonly host: GuardedHost;
  readonly phases: string[];
  readonly held: string[];
  update(wish?: Partial<UpdateWish>, taskId?: string, signal?: AbortSignal): ReturnType<Updater['update']>;
  /** Plays the guard: what it answers to the request that was made last. */
  answer(facts: Record<string, string>): Promise<void>;
  close(): void;
  readonly updater: Updater;
}

function bench(origin: string, over: Partial<UpdaterParts> = {}, settings: Partial<UpdateConfig> = {}): Bench {
  count += 1;
  const host = guardedHost(join(root, String(count)));
  host.install('0.1.0');
  host.point('current', '0.1.0');
  writeFileSync(host.places.releaseRoot, ours.root.pem);
  const phases: string[] = [];
  const held: string[] = [];
  const updater = new Updater({
    ...{ version: '0.1.0', places: host.places, clock: hasty, othersEnd: async () => undefined },
    source: {
      origin: controlPlaneOrigin(origin),
      bearer: () => 'secret',
      serverNow: () => Date.parse('2026-12-01T00:00:00Z'),
    },
    settings: {
      automatic: true,
      channel: 'stable',
      pinned: null,
      window: null,
      stable_seconds: 1,
      ...settings,
    } as UpdateConfig,
    hold: (reason) => {
      held.push(reason);
      return () => void held.push('released');
    },
    ...over,
  });
  open.push(() => updater.close());
  return {
    ...{ host, phases, held, updater },
    update: (wish = {}, taskId = 'task-1', signal = new AbortController().signal) =>
      updater.update(
        { version: '0.2.0', byHost: false, ...wish },
        { taskId, signal, tell: (phase) => void phases.push(phase) },
      ),
    answer: async (facts) => {
      const file = join(host.places.staged, 'request');
      await until(() => existsSync(file), 'the request');
      const [version = '', task = '', nonce = ''] = readFileSync(file, 'utf8').trim().split(' ');
      const all = { version, task, nonce, from: '0.1.0', code: '', reason: '', ...facts };
      writeFileSync(
        join(host.places.guarded, 'last'),
        Object.entries(all)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
      );
    },
    close: () => updater.close(),
  };
}

const second = () => ours.release('0.2.0', programOf('0.2.0'));

describe('an update, in the version that is there', () => {
  it('stages what was signed, holds new tasks, and asks', async () => {
    const release = second();
    const { origin } = await controlPlane([release]);
    const { host, phases, held, update, answer } = bench(origin);

    const ended = update();
    await answer({ outcome: 'refused', code: 'update.older', reason: 'It is older.' });

    await expect(ended).rejects.toMatchObject({ code: 'update.older' });
    expect(phases).toEqual(['checking', 'downloading', 'verifying', 'draining', 'swapping']);
    expect(held).toEqual(['It is updated to 0.2.0.', 'released']);
    expect(readFileSync(join(host.places.staged, release.name))).toEqual(release.packed);
    expect(readFileSync(join(host.places.staged, 'request'), 'utf8')).toMatch(/^0\.2\.0 task-1 [0-9a-f-]{36}\n$/);
  });

  it('has no end where the process is told to stop meanwhile: the next one goes on with it', async () => {
    const { origin } = await controlPlane([second()]);
    const { update, held, close } = bench(origin);

    let became = 'goes on';
    void update().then(
      () => {
        became = 'ended';
      },
      () => {
        became = 'failed';
      },
    );
    await until(() => held.length > 0, 'the hold');
    close();
    // It looks again in between, so whatever it would do it has done.
    await systemClock.pause(50);

    expect(became).toBe('goes on');
  });

  it.each<[string, SignedRelease | undefined, Partial<UpdaterParts>, Partial<UpdateConfig>]>([
    ['update.untrusted', publisher(signingPair()).release('0.2.0', 'x'), {}, {}],
    ['update.expired', ours.release('0.2.0', 'x', { expires: '2026-11-30T23:59:59Z' }), {}, {}],
    ['update.pinned', second(), {}, { pinned: '0.1.0' }],
    ['update.held', second(), {}, { automatic: false }],
    ['update.held', second(), {}, { window: { days: ['wed'], from: '01:00', to: '02:00', utc: true } }],
    ['control_plane.refused', undefined, {}, {}],
    ['task.unsupported', second(), { source: undefined }, {}],
  ])('fails as %s before anything is touched', async (code, release, parts, settings) => {
    const { origin } = await controlPlane(release ? [release] : []);
    const { host, update, held } = bench(origin, parts, settings);

    await expect(update()).rejects.toMatchObject({ code });

    expect(held).toEqual([]);
    expect(existsSync(join(host.places.staged, 'request'))).toBe(false);
  });

  it('that is urgent passes by the window, and somebody on the host by all of it', async () => {
    const { origin } = await controlPlane([second()]);
    const cases: [Partial<UpdateWish>, Partial<UpdateConfig>][] = [
      [{ urgent: true }, { window: { days: ['wed'], from: '01:00', to: '02:00', utc: true } }],
      [{ byHost: true }, { automatic: false }],
    ];
    for (const [wish, settings] of cases) {
      const { update, answer } = bench(origin, {}, settings);
      const ended = update(wish);
      await answer({ outcome: 'failed', code: 'update.failed' });
      await expect(ended).rejects.toMatchObject({ code: 'update.failed' });
    }
  });

  it('is one at a time', async () => {
    const { origin } = await controlPlane([second()]);
    const { update, answer } = bench(origin);

    const ended = update();
    await expect(update({}, 'task-2')).rejects.toMatchObject({ code: 'update.in_progress' });
    await answer({ outcome: 'refused', code: 'update.unfit' });

    await expect(ended).rejects.toMatchObject({ code: 'update.unfit' });
  });

  it('is given up by a cancel before the swap', async () => {
    const { origin } = await controlPlane([second()], () => true);
    const { update } = bench(origin);
    const cancel = new AbortController();

    const ended = update({}, 'task-1', cancel.signal);
    cancel.abort(new Error('cancelled'));

    await expect(ended).rejects.toThrow('cancelled');
  });
});

describe('an update, in the process that comes after', () => {
  const committed = { outcome: 'committed', version: '0.2.0', from: '0.1.0', task: 'task-1', nonce: 'n1' };
  const write = (host: GuardedHost, facts: Record<string, string>) =>
    writeFileSync(
      join(host.places.guarded, 'last'),
      Object.entries(facts)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    );

  it('ends when the new version has proven itself', async () => {
    const { host, update, phases } = bench('http://127.0.0.1:1', { version: '0.2.0' });
    host.install('0.2.0');
    host.writePending({ attempts: 1 });
    const ended = update();
    await until(() => phases.length > 0, 'the trial');

    host.guard(['settle']); // Its link was not set: what was begun is over.
    write(host, committed);

    expect(await ended).toEqual({ version: '0.2.0', from: '0.1.0', outcome: 'committed' });
    expect(phases).toEqual(['on_trial', 'committed']);
  });

  it('fails in the old version again, with what the guard has seen', async () => {
    const { host, update, phases } = bench('http://127.0.0.1:1');
    write(host, { ...committed, outcome: 'rolled_back', code: 'update.rolled_back', reason: 'It was not well.' });

    await expect(update()).rejects.toMatchObject({
      code: 'update.rolled_back',
      detail: { reason: 'It was not well.' },
    });
    expect(phases).toEqual(['rolled_back']);
  });

  it('has nothing to do where the version runs already', async () => {
    const { update } = bench('http://127.0.0.1:1', { version: '0.2.0' });

    expect(await update()).toEqual({ version: '0.2.0', from: '0.2.0', outcome: 'already' });
  });

  it('of another task waits for nobody: one is on trial', async () => {
    const { host, update } = bench('http://127.0.0.1:1');
    host.writePending({ to: '0.3.0', task: 'task-9' });

    await expect(update()).rejects.toMatchObject({ code: 'update.in_progress' });
  });
});

it('what there is for the host is told, with why it does not take it', async () => {
  const { origin } = await controlPlane([second()]);

  expect(await bench(origin).updater.available(AbortSignal.timeout(10_000))).toMatchObject({
    version: '0.2.0',
    refused: null,
  });
  expect(await bench(origin, {}, { pinned: '0.1.0' }).updater.available(AbortSignal.timeout(10_000))).toMatchObject({
    refused: { code: 'update.pinned' },
  });
});

it('nobody who looks waits without an end for a control plane that is away', async () => {
  const clock = { ...systemClock, pause: async () => undefined };

  await expect(
    bench('http://127.0.0.1:1', { clock }).updater.available(new AbortController().signal),
  ).rejects.toMatchObject({ code: 'control_plane.unavailable' });
});
