/** What of an output is sent while it is still read, and what becomes of that where the output turns out to be none. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { KeptOutput, OutputReceived } from '../../../../src/contract/job-outputs.ts';
import type { OutputDestination } from '../../../../src/jobs/outputs/hand-over.ts';
import type { PlannedOutput } from '../../../../src/jobs/outputs/job-outputs.ts';
import { openOutputs } from '../../../../src/jobs/outputs/keep-outputs.ts';
import { systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('early-outputs');
const signal = new AbortController().signal;
const mebibyte = 2 ** 20;
const planned: PlannedOutput = {
  ...{ name: 'model', volume: 'data', path: 'model.bin', type: 'checkpoint', required: true },
};
const where = { job: 'job-1', container: 'c', target: '/data' };
const hasty = { ...systemClock, pause: (ms: number, stop?: AbortSignal) => systemClock.pause(ms / 100, stop) };
const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const refused = (refused_as: string) => new AgentError('control_plane.refused', { reason: 'no', refused_as });
const cut = () => new AgentError('control_plane.unavailable', { reason: 'cut' });

/** A control plane that has what it was sent, and what it was asked. */
function plane(fails: Partial<Record<'begin' | 'early' | 'send', (times: number) => AgentError | undefined>> = {}) {
  /** What is sent waits for it. */
  const slow: { until: Promise<unknown> } = { until: Promise.resolve() };
  const asked: string[] = [];
  const early = new Map<string, Buffer>();
  const parts = new Map<string, Buffer>();
  const whole: KeptOutput[] = [];
  const times = { begin: 0, early: 0, send: 0 };
  let offered: KeptOutput | undefined;
  const fail = (what: 'begin' | 'early' | 'send') => {
    times[what] += 1;
    const error = fails[what]?.(times[what]);
    if (error) throw error;
  };
  const grown = (map: Map<string, Buffer>, key: string, offset: number, bytes: Uint8Array) => {
    const has = map.get(key) ?? Buffer.alloc(0);
    if (has.length !== offset) throw refused('resource.conflict');
    map.set(key, Buffer.concat([has, bytes]));
  };
  const received = (bytes: number, complete = false): OutputReceived => ({ received: bytes, complete, refused: null });
  const destination: OutputDestination = {
    early: {
      begin: async ({ upload }) => {
        asked.push('begin');
        fail('begin');
        if (!early.has(upload)) early.set(upload, Buffer.alloc(0));
        return received(early.get(upload)?.length ?? 0);
      },
      send: async ({ upload, offset, bytes }) => {
        asked.push('early');
        await slow.until;
        if (!early.has(upload)) throw refused('resource.not_found');
        grown(early, upload, offset, bytes);
        fail('early');
        return received(early.get(upload)?.length ?? 0);
      },
      drop: async (upload) => {
        asked.push('drop');
        early.delete(upload);
      },
    },
    offer: async ({ output }) => {
      asked.push('offer');
      offered = output;
      return received(parts.get(output.sha256)?.length ?? 0);
    },
    send: async ({ sha256, offset, bytes, early: upload }) => {
      asked.push(upload === undefined ? 'send' : 'send the rest');
      fail('send');
      const before = upload === undefined ? undefined : early.get(upload);
      if (before && upload) {
        parts.set(sha256, before);
        early.delete(upload);
      }
      grown(parts, sha256, offset, bytes);
      const has = parts.get(sha256) ?? Buffer.alloc(0);
      const isWhole = has.length === offered?.bytes && sha256Of(has) === sha256;
      if (isWhole && offered) whole.push(offered);
      return received(has.length, isWhole);
    },
  };
  return { destination, asked, early, parts, whole, times, slow };
}

/** A host on which there is one file. */
function host({ destination }: { destination: OutputDestination }) {
  const world = {
    content: randomBytes(20 * mebibyte),
    writtenAt: [] as number[],
    /** What is read waits for it before the second half. */
    halfway: Promise.resolve(),
  };
  const folder = join(root, randomUUID());
  const logged: string[] = [];
  const write = (line: string) => void logged.push(line);
  const getArchive = async () => {
    const mtime = new Date(world.writtenAt.length > 1 ? (world.writtenAt.shift() ?? 0) : (world.writtenAt[0] ?? 0));
    return archiveOf(world.content, mtime, () => world.halfway);
  };
  const outputs = openOutputs({
    ...{ engine: { getArchive }, folder, destination, clock: hasty, log: createLog({ destination: { write } }) },
    limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 },
  });
  return {
    ...{ world, outputs, logged, files: () => readdirSync(join(folder, where.job)) },
    take: (written_until?: number, name = planned.name) =>
      outputs.take({ ...planned, name }, { ...where, written_until }, signal),
    over: () => outputs.handedOver(where.job, 6_000_000, signal),
  };
}

async function* inHalves(tar: Buffer, halfway: () => Promise<void>) {
  const half = Math.floor(tar.length / 2);
  yield tar.subarray(0, half);
  await halfway();
  yield tar.subarray(half);
}

function archiveOf(content: Buffer, mtime: Date, halfway: () => Promise<void>): Readable {
  const tar = pack();
  tar.entry({ name: 'model.bin', mtime }, content);
  tar.finalize();
  const whole = async function* () {
    yield* inHalves(await buffer(tar as unknown as Readable), halfway);
  };
  return Readable.from(whole(), { objectMode: false });
}

describe('an output that is sent while it is read', () => {
  it('is there but for its end when it is offered, and nothing is sent twice', async () => {
    const its = plane();
    const { world, take, over, files } = host(its);
    world.halfway = eventually(() => expect(its.times.early).toBeGreaterThan(1));

    const kept = await take();
    await over();

    await eventually(() => expect(its.asked.at(-1)).toBe('drop'));
    expect(its.asked.slice(0, 3)).toEqual(['begin', 'early', 'early']);
    expect(its.asked.filter((what) => !/early|send$/.test(what))).toEqual(['begin', 'offer', 'send the rest', 'drop']);
    expect(its.whole).toEqual([kept]);
    expect(its.parts.get(kept?.sha256 ?? '')?.equals(world.content)).toBe(true);
    expect(files()).toEqual(['model.json']);
  });

  it('was written to since, and no other time is one sent so', async () => {
    const its = plane();
    const { world, take, over } = host(its);
    await take();
    await over();
    await eventually(() => expect(its.asked.at(-1)).toBe('drop'));
    its.asked.length = 0;

    await take();
    const unchanged = [...its.asked];
    world.writtenAt = [5000];
    await take();
    await eventually(() => expect(its.asked.at(-1)).toBe('drop'));

    expect(unchanged).toEqual([]);
    // Another time, and the same bytes.
    expect(its.asked).not.toContain('offer');
    expect(its.early.size).toBe(0);
  });

  it('is dropped where it was written to meanwhile, and none waits for the next look', async () => {
    const its = plane();
    const { world, outputs, take, files } = host(its);
    world.writtenAt = [0, 1_000_000_000_000];
    world.halfway = eventually(() => expect(its.times.early).toBeGreaterThan(0));

    await expect(take(1_000_000_000_000)).rejects.toMatchObject({ code: 'output.unsettled' });

    await eventually(() => expect(its.asked.at(-1)).toBe('drop'));
    expect([its.early.size, outputs.of(where.job), files()]).toEqual([0, [], []]);
  });

  it('was not read in vain before, until it was kept once or its program has ended', async () => {
    const its = plane();
    const { world, take, over } = host(its);
    const now = 1_000_000_000_000;
    const begun = () => its.asked.filter((what) => what === 'begin').length;
    const times: number[] = [];
    let writtenAt = 0;
    // Its program sets the times of its file: another one each time that it is asked for.
    const setTimes = (count: number) => {
      writtenAt += 1000 * count;
      world.writtenAt = [writtenAt - 1000, writtenAt].slice(-count);
    };
    const lookInVain = async () => {
      setTimes(2);
      await expect(take(now)).rejects.toMatchObject({ code: 'output.unsettled' });
      times.push(begun());
    };
    const keep = async (until?: number) => {
      world.content = randomBytes(20 * mebibyte + times.length);
      setTimes(1);
      await take(until);
      await over();
      times.push(begun());
    };

    world.halfway = eventually(() => expect(begun()).toBe(1));
    await lookInVain();
    await lookInVain();
    await keep(now);
    world.halfway = eventually(() => expect(begun()).toBe(2));
    await lookInVain();
    await lookInVain();
    world.halfway = eventually(() => expect(begun()).toBe(3));
    await keep();

    expect(times).toEqual([1, 1, 1, 2, 2, 3]);
  });

  it('goes the usual way to a control plane that knows of no such thing', async () => {
    const its = plane({ begin: () => refused('resource.not_found') });
    const { world, take, over } = host(its);
    world.halfway = eventually(() => expect(its.times.begin).toBe(1));

    const kept = await take();
    await over();

    expect(its.asked.slice(0, 3)).toEqual(['begin', 'offer', 'send']);
    expect(its.whole).toEqual([kept]);
  });

  it.each([
    ['is gone there', 'resource.conflict'],
    ['is refused for what is said of it', 'request.invalid'],
  ])('is sent anew where what was sent early %s', async (_, refused_as) => {
    const its = plane({ send: (times) => (times === 1 ? refused(refused_as) : undefined) });
    const { world, take, over } = host(its);
    world.halfway = eventually(() => expect(its.times.early).toBeGreaterThan(0));

    const kept = await take();
    await over();

    const then = its.asked.slice(its.asked.indexOf('send the rest'));
    expect(then.slice(0, 3)).toEqual(['send the rest', 'offer', 'send']);
    expect(its.whole).toEqual([kept]);
  });

  it('goes on behind what arrived before the line was cut, and is not lost with the offer', async () => {
    const its = plane({
      early: (times) => (times === 1 ? cut() : undefined),
      send: (times) => (times === 1 ? cut() : undefined),
    });
    const { world, take, over } = host(its);
    world.halfway = eventually(() => expect(its.times.early).toBeGreaterThan(1));

    const kept = await take();
    await over();

    expect(its.asked.slice(0, 4)).toEqual(['begin', 'early', 'begin', 'early']);
    expect(its.asked.filter((what) => what === 'send the rest')).toHaveLength(2);
    expect(its.whole).toEqual([kept]);
    expect(its.parts.get(kept?.sha256 ?? '')?.equals(world.content)).toBe(true);
  });

  it('has its place until it is handed over, and one that finds none meanwhile goes the usual way', async () => {
    const its = plane();
    const { take, over, logged, world } = host(its);
    const { promise: until, resolve: go } = Promise.withResolvers<void>();
    its.slow.until = until;
    const first = [take(undefined, 'a'), take(undefined, 'b')];
    await eventually(() => expect(its.asked.filter((what) => what === 'early')).toHaveLength(2));
    // Another one, as the same bytes are offered once.
    world.content = randomBytes(20 * mebibyte);

    const third = await take(undefined, 'c');
    await Promise.all(first);
    expect(its.asked).not.toContain('offer');
    go();
    await over();

    expect(its.asked.filter((what) => what === 'begin')).toHaveLength(2);
    expect(its.parts.get(third?.sha256 ?? '')?.equals(world.content)).toBe(true);
    expect(logged).toEqual([]);
  });

  it('has no place where the control plane has no room for it, so that others have', async () => {
    const its = plane();
    Object.assign(its.destination.early ?? {}, {
      begin: async () => ({ received: 0, complete: false, refused: 'There is no room.' }),
    });
    const { world, outputs, take } = host(its);
    const { promise: until, resolve: go } = Promise.withResolvers<void>();
    world.halfway = until;
    const large = [take(undefined, 'a'), take(undefined, 'b')];
    const said = Readable.from([]) as AsyncIterable<never>;

    await outputs.takeLog(where.job, 'one', said, signal);
    await eventually(() => expect(its.asked).toEqual(['offer', 'send']));
    go();
    await Promise.all(large);
  });

  it('is large', async () => {
    const its = plane();
    const { world, take, over } = host(its);
    world.content = randomBytes(mebibyte);

    await take();
    await over();

    expect(its.asked).toEqual(['offer', 'send']);
  });
});
