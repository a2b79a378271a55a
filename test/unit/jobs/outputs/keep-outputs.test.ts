/** What is kept of jobs on a host, and how it gets to a control plane that comes and goes. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { KeptOutput, OutputReceived } from '../../../../src/contract/job-outputs.ts';
import type { OutputDestination } from '../../../../src/jobs/outputs/hand-over.ts';
import type { PlannedOutput } from '../../../../src/jobs/outputs/job-outputs.ts';
import { type KeptOutputs, openOutputs } from '../../../../src/jobs/outputs/keep-outputs.ts';
import { outputStates } from '../../../../src/jobs/outputs/spool.ts';
import { systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import type { LogEntry } from '../../../../src/runtime/engine.ts';
import { eventually } from '../../../support/eventually.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('keep-outputs');
const signal = new AbortController().signal;
const planned = (given: Partial<PlannedOutput> = {}): PlannedOutput => ({
  ...{ name: 'model', volume: 'data', path: 'out/model.bin', type: 'artifact', required: true, ...given },
});
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Waits a hundredth of the time. */
const hasty = { ...systemClock, pause: (ms: number, stop?: AbortSignal) => systemClock.pause(ms / 100, stop) };

/** A host whose containers have one file at every path; what it says changes with `content`. */
function host(
  given: {
    destination?: OutputDestination;
    folder?: string;
    limits?: object;
    clock?: typeof systemClock;
    free?: () => Promise<number>;
  } = {},
) {
  const { destination, folder = join(root, randomUUID()), limits = {}, clock = hasty, free } = given;
  const world = {
    content: 'weights' as string | undefined,
    asked: [] as string[],
    writtenAt: [] as Date[],
    broken: undefined as AgentError | undefined,
    given: [] as Readable[],
  };
  const outputs: KeptOutputs = openOutputs({
    engine: {
      getArchive: async (name, path) => {
        world.asked.push(`${name} ${path}`);
        if (world.broken) throw world.broken;
        if (world.content === undefined) return undefined;
        const archive = archiveOf(world.content, world.writtenAt.shift());
        world.given.push(archive);
        return archive;
      },
    },
    ...{ folder, destination, clock, log: createLog({ level: 'silent' }), ...(free && { free }) },
    limits: { each: 2 ** 24, all: 2 ** 25, reserve: 0, ...limits },
  });
  const where = { job: 'job-1', container: 'gpuaas-job-1.train', target: '/data' };
  return { outputs, world, folder, where, take: (output = planned()) => outputs.take(output, where, signal) };
}

/** A control plane that keeps what it is given. */
function destinationOf(given: Partial<Record<'offer' | 'send', (times: number) => void>> = {}) {
  const received = new Map<string, Buffer>();
  const offered: KeptOutput[] = [];
  const times = { offer: 0, send: 0 };
  const answer = (sha: string, bytes: number): OutputReceived => {
    const has = received.get(sha) ?? Buffer.alloc(0);
    const complete = has.length === bytes && createHash('sha256').update(has).digest('hex') === sha;
    return { received: has.length, complete, refused: null };
  };
  const destination: OutputDestination = {
    offer: async ({ output }) => {
      times.offer += 1;
      given.offer?.(times.offer);
      offered.push(output);
      return answer(output.sha256, output.bytes);
    },
    send: async ({ sha256: sha, offset, bytes, timeoutMs }) => {
      expect(Number.isInteger(timeoutMs)).toBe(true);
      times.send += 1;
      given.send?.(times.send);
      const has = received.get(sha) ?? Buffer.alloc(0);
      expect(offset).toBe(has.length);
      received.set(sha, Buffer.concat([has, bytes]));
      return answer(sha, offered.find((each) => each.sha256 === sha)?.bytes ?? 0);
    },
  };
  return { destination, received, offered, times };
}

const away = () => {
  throw new AgentError('control_plane.unavailable', { reason: 'away' });
};

describe('an output', () => {
  it('is taken out of the volume of a container, handed over, and known for as long as its job is', async () => {
    const plane = destinationOf();
    const { outputs, world, folder, where, take } = host(plane);

    const kept = await take();
    const isHandedOver = await outputs.handedOver(where.job, 6_000_000, signal);

    expect(kept).toEqual({
      ...{ name: 'model', kind: 'artifact', sha256: sha256('weights'), bytes: 7, file_name: 'model.bin' },
      media_type: 'application/octet-stream',
    });
    expect(world.asked).toEqual(['gpuaas-job-1.train /data/out/model.bin']);
    expect(isHandedOver).toBe(true);
    expect(plane.received.get(sha256('weights'))?.toString()).toBe('weights');
    expect(outputs.of(where.job)).toEqual([kept]);
    expect(readdirSync(join(folder, 'job-1'))).toEqual(['model.json']);
    await outputs.forget(where.job);
    expect(existsSync(join(folder, 'job-1'))).toBe(false);
  });

  it('is told of by name, waiting or handed over, to whoever looks into the folder', async () => {
    const plane = destinationOf();
    const { outputs, folder, where, take } = host(plane);
    await take();
    await outputs.handedOver(where.job, 6_000_000, signal);
    const alone = host({ folder });
    await alone.take(planned({ name: 'later' }));
    symlinkSync(join(folder, 'job-1', 'model.json'), join(folder, 'job-1', 'link.json'));

    const states = await outputStates(folder, where.job);

    expect(Object.fromEntries(states)).toEqual({ model: 'handed_over', later: 'waiting' });
    expect(await outputStates(folder, 'nobody')).toEqual(new Map());
  });

  it('that is not there is nothing', async () => {
    const { world, take, outputs } = host();
    world.content = undefined;

    expect(await take()).toBeUndefined();
    expect(outputs.of('job-1')).toEqual([]);
  });

  it('that an engine cannot read is told without the folders of the host that it names', async () => {
    const { world, take } = host();
    world.broken = new AgentError('engine.failed', {
      reason: 'too many links in /var/lib/docker/overlay2/1/merged/out',
    });

    await expect(take()).rejects.toMatchObject({
      ...{ code: 'engine.failed', message: expect.not.stringContaining('/var/lib') },
      detail: { output: 'model', path: 'out/model.bin', reason: 'It cannot read what is at the path of the output.' },
    });
  });

  it('that there is no place for is let go of', async () => {
    const { world, take, folder } = host();
    writeFileSync(join(folder, 'job-1'), 'no folder');

    await expect(take()).rejects.toMatchObject({ code: 'EEXIST' });

    expect(world.given.map(({ destroyed }) => destroyed)).toEqual([true]);
  });

  it('that has not changed is not kept twice, and one that has takes its place', async () => {
    const plane = destinationOf();
    const { outputs, world, take, where } = host(plane);
    await take();
    await outputs.handedOver(where.job, 6_000_000, signal);

    await take();
    await outputs.handedOver(where.job, 6_000_000, signal);
    world.content = 'better weights';
    const second = await take();
    await outputs.handedOver(where.job, 6_000_000, signal);

    expect(plane.offered.map((each) => each.sha256)).toEqual([sha256('weights'), sha256('better weights')]);
    expect(outputs.of(where.job)).toEqual([second]);
  });

  it.each([
    ['was written to a moment before', [1_000_000_000_000 - 1000], { code: 'output.unsettled', read_bytes: 0 }],
    ['is written to while it is read', [0, 1_000_000_000_000], { code: 'output.unsettled', read_bytes: 7 }],
    ['was left alone, before and since', [1_000_000_000_000 - 2000, 1_000_000_000_000 - 2000], undefined],
  ])('that %s is kept or not, where its program may still be at it (C-71)', async (_, times, failure) => {
    const { outputs, world, where, folder } = host();
    world.writtenAt = times.map((time) => new Date(time));

    const taking = outputs.take(planned(), { ...where, written_until: 1_000_000_000_000 }, signal);

    expect(
      await taking.then(
        () => undefined,
        ({ code, detail }: AgentError) => ({ code, ...detail }),
      ),
    ).toEqual(failure && { ...failure, output: 'model', path: 'out/model.bin' });
    expect(outputs.of(where.job)).toHaveLength(failure ? 0 : 1);
    expect(readdirSync(join(folder, where.job))).toHaveLength(failure ? 0 : 2);
  });

  it('is refused by name where it is too large, and nothing of it stays', async () => {
    const { world, folder, take } = host({ limits: { each: 10 } });
    world.content = 'more than ten';

    await expect(take()).rejects.toMatchObject({
      code: 'output.refused',
      detail: { output: 'model', path: 'out/model.bin' },
    });
    expect(readdirSync(join(folder, 'job-1'))).toEqual([]);
  });

  it('is refused where the host has no room for it', async () => {
    const { take, world } = host({ limits: { all: 10 } });
    await take();
    world.content = 'other';

    await expect(take(planned({ name: 'second' }))).rejects.toMatchObject({ code: 'disk.full' });
    await expect(host({ limits: { reserve: 2 ** 60 } }).take()).rejects.toMatchObject({ code: 'disk.full' });
  });
});

describe('handing over', () => {
  it('goes on where it was, over a control plane that is away and a process that was killed', async () => {
    const content = 'x'.repeat(9 * 2 ** 20);
    const plane = destinationOf({ offer: (times) => times === 1 && away(), send: (times) => times === 2 && away() });
    const first = host({
      destination: {
        ...plane.destination,
        send: async (piece, stop) => {
          const answer = await plane.destination.send(piece, stop);
          if (plane.times.send === 3) throw new Error('killed');
          return answer;
        },
      },
    });
    first.world.content = content;
    await first.take();
    // The third piece came, and its answer never.
    await eventually(() => expect(plane.times.send).toBe(3));

    const second = host({ folder: first.folder, destination: plane.destination });
    const isHandedOver = await second.outputs.handedOver('job-1', 6_000_000, signal);

    expect(isHandedOver).toBe(true);
    expect(plane.received.get(sha256(content))?.length).toBe(content.length);
    expect(plane.times.send).toBe(4);
  });

  it('sends what it says, though it reads on meanwhile, and goes on within a piece that was not taken whole', async () => {
    const plane = destinationOf();
    const offsets: number[] = [];
    const { outputs, world, take, where, folder } = host({
      destination: {
        ...plane.destination,
        send: async (piece, stop) => {
          offsets.push(piece.offset);
          // Longer than it takes to read a piece.
          await readFile(join(folder, where.job, piece.sha256));
          const bytes = offsets.length === 3 ? piece.bytes.subarray(0, 2 ** 20) : piece.bytes;
          return await plane.destination.send({ ...piece, bytes }, stop);
        },
      },
      limits: { each: 2 ** 25 },
    });
    world.content = randomBytes(10 * 2 ** 20).toString('hex');
    await take();

    expect(await outputs.handedOver(where.job, 6_000_000, signal)).toBe(true);
    expect(plane.received.get(sha256(world.content))?.equals(Buffer.from(world.content))).toBe(true);
    expect(offsets.slice(2, 4)).toEqual([8 * 2 ** 20, 9 * 2 ** 20]);
  });

  it('keeps nobody waiting for longer than they want', async () => {
    const { outputs, take, where } = host(destinationOf({ offer: away }));
    await take();

    expect(await outputs.handedOver(where.job, 1, signal)).toBe(false);
    await outputs.close();
  });

  it('ends with what is not wanted any more', async () => {
    const refused = () => {
      throw new AgentError('control_plane.refused', {
        reason: 'No job.',
        status: 404,
        refused_as: 'resource.not_found',
      });
    };
    const { outputs, take, where, folder } = host(destinationOf({ offer: refused }));
    await take();

    expect(await outputs.handedOver(where.job, 6_000_000, signal)).toBe(true);
    expect(readdirSync(join(folder, 'job-1'))).toEqual(['model.json']);
  });

  it('ends with what comes out other than it went in, and goes on over everything else', async () => {
    const codes = [
      'node.untrusted',
      'resource.conflict',
      'disk.full',
      'output.damaged',
      'output.damaged',
      'output.damaged',
    ];
    const answers = [...codes];
    const { outputs, take, where } = host(
      destinationOf({
        send: () => {
          throw new AgentError('control_plane.refused', { reason: 'no', refused_as: answers.shift() ?? 'none left' });
        },
      }),
    );
    await take();

    expect(await outputs.handedOver(where.job, 6_000_000, signal)).toBe(true);
    expect(answers).toEqual([]);
  });

  it('gives up what a newer one has replaced', async () => {
    const plane = destinationOf({ offer: (times) => times === 1 && away() });
    const clock = manualClock(Date.now());
    const { world, take, outputs, where } = host({ destination: plane.destination, clock });
    await take();
    await eventually(() => expect(clock.waiting()).toHaveLength(1));

    world.content = 'newer';
    await take();

    await eventually(() => expect(plane.received.get(sha256('newer'))?.toString()).toBe('newer'));
    await eventually(() => expect(outputs.of(where.job).map((each) => each.sha256)).toEqual([sha256('newer')]));
    expect(plane.received.has(sha256('weights'))).toBe(false);
  });
});

describe('room for what is kept', () => {
  const mebibyte = 2 ** 20;
  const line = (text: string): LogEntry => ({
    ...{ cursor: '', time: '2026-01-01T00:00:00Z', channel: 'stdout', data: Buffer.from(`${text}\n`), partial: false },
  });
  /** A log of so many lines of 64 KiB each; `each` is asked for before each of them. */
  const logOf = async function* (lines: number, each: (line: number) => Promise<void> | void = () => undefined) {
    for (let number = 0; number < lines; number += 1) {
      await each(number);
      yield line('x'.repeat(65_536));
    }
  };
  const bytesIn = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.json'))
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);

  it('is not given twice to outputs that are written side by side', async () => {
    const { outputs, folder } = host({ limits: { all: 4 * mebibyte } });
    let most = 0;
    const watch = () => {
      most = Math.max(most, bytesIn(folder));
    };

    const ends = await Promise.allSettled([
      outputs.takeLog('job-1', 'one', logOf(48, watch), signal),
      outputs.takeLog('job-2', 'two', logOf(48, watch), signal),
    ]);

    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'disk.full' } });
    expect(most).toBeGreaterThan(2 * mebibyte);
    expect(most).toBeLessThanOrEqual(4 * mebibyte);
    // What could not be kept has left nothing, neither on the disk nor in the count.
    expect(bytesIn(folder)).toBeLessThanOrEqual(3.1 * mebibyte);
    expect(await outputs.takeLog('job-3', 'three', logOf(12), signal)).toMatchObject({ name: 'three.log' });
  });

  it('ends where others fill the disk meanwhile, before what has to stay free is touched', async () => {
    const disk = { free: 200 * mebibyte };
    const reserve = 100 * mebibyte;
    const { outputs, folder } = host({
      limits: { each: 2 ** 30, all: 2 ** 30, reserve },
      free: async () => disk.free - bytesIn(folder),
    });
    // Somebody takes one and a half times as much as is written here.
    const log = logOf(16 * 100, () => {
      disk.free -= 1.5 * 65_536;
    });
    let least = disk.free;
    const watched = async function* () {
      for await (const entry of log) {
        least = Math.min(least, disk.free - bytesIn(folder));
        yield entry;
      }
    };

    await expect(outputs.takeLog('job-1', 'one', watched(), signal)).rejects.toMatchObject({
      code: 'disk.full',
      detail: { reason: '0.10 GiB of the disk have to stay free.' },
    });

    // What others take between two looks is theirs: at most that of the last 16 MiB.
    expect(least).toBeGreaterThan(reserve - 1.5 * 16 * mebibyte);
    expect(bytesIn(folder)).toBe(0);
  });

  it('is looked at again for each output, whatever was free for the one before', async () => {
    const disk = { free: 100 * mebibyte };
    const { outputs } = host({ limits: { reserve: 50 * mebibyte }, free: async () => disk.free });
    await outputs.takeLog('job-1', 'one', logOf(1), signal);
    disk.free = 50 * mebibyte;

    await expect(outputs.takeLog('job-1', 'two', logOf(1), signal)).rejects.toMatchObject({ code: 'disk.full' });
  });
});

describe('a spool that was left', () => {
  it('is tidied: what was cut short goes, and jobs of long ago with nothing to hand over', async () => {
    const { folder, take, world, where } = host();
    await take();
    world.content = 'second';
    await take(planned({ name: 'second' }));
    const inJob = join(folder, where.job);
    rmSync(join(inJob, sha256('second')));
    for (const name of ['.1.part', '9'.repeat(64)]) writeFileSync(join(inJob, name), 'x');
    const plane = destinationOf();
    const old = host({ folder: join(root, randomUUID()), ...plane });
    await old.take();
    await old.outputs.handedOver('job-1', 6_000_000, signal);
    utimesSync(join(old.folder, 'job-1'), new Date(0), new Date(0));

    const again = host({ folder });
    host({ folder: old.folder });

    expect(again.outputs.of(where.job).map(({ name }) => name)).toEqual(['model']);
    expect(readdirSync(inJob).filter((name) => !name.endsWith('.json'))).toEqual([sha256('weights')]);
    expect(readdirSync(old.folder)).toEqual([]);
  });
});

describe('the log of a step', () => {
  it('is kept line by line, long ones in one piece that says of what, by stream', async () => {
    const { outputs, folder } = host();
    const entry = (channel: 'stdout' | 'stderr', text: string, partial = false): LogEntry => ({
      ...{ cursor: '', time: '2026-01-01T00:00:00Z', channel, data: Buffer.from(text), partial },
    });
    const entries = async function* () {
      yield entry('stdout', 'one\n');
      yield entry('stderr', 'half', true);
      yield entry('stdout', 'between\n');
      yield entry('stderr', ' whole\n');
      yield entry('stdout', 'cut', true);
    };

    const kept = await outputs.takeLog('job-1', 'train', entries(), signal);

    const time = '2026-01-01T00:00:00Z';
    expect(kept).toMatchObject({
      name: 'train.log',
      kind: 'log',
      media_type: 'application/x-ndjson',
      file_name: 'train.log.ndjson',
    });
    expect(
      readFileSync(join(folder, 'job-1', kept.sha256), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { time, channel: 'stdout', text: 'one' },
      { time, channel: 'stdout', text: 'between' },
      { time, channel: 'stderr', text: 'half whole', parts: [4, 6] },
      { time, channel: 'stdout', text: 'cut' },
    ]);
  });
});

function archiveOf(content: string, mtime = new Date(0)): Readable {
  const tar = pack();
  tar.entry({ name: 'model.bin', mtime }, content);
  tar.finalize();
  return Readable.from(tar as unknown as AsyncIterable<Uint8Array>, { objectMode: false });
}
