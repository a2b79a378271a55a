import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GpuHealth } from '../../../../src/agent/gpus/gpu-health.ts';
import type { RecordBody } from '../../../../src/contract/records.ts';
import type { GpuProbe } from '../../../../src/host/gpus.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { sampleGpu, sampleProbe } from '../../../support/gpus.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { testFolder } from '../../host/stand-ins.ts';

const never = new AbortController().signal;
const a = sampleGpu({ uuid: 'GPU-a', pci_address: '0000:17:00.0' });
const b = sampleGpu({ uuid: 'GPU-b', pci_address: '0000:3b:00.0' });
const both = sampleProbe({ gpus: [a, b] });
const hangs = sampleProbe({ reason: 'the driver hangs.' });
const offTheBus = 'Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.';
const uncontained = 'Xid (PCI:0000:3b:00): 95, pid=1, name=python3, Uncontained: FBHUB';

function bench() {
  const folder = testFolder();
  const kernelLog = join(folder, 'kmsg');
  writeFileSync(kernelLog, '');
  const world = {
    probe: both as GpuProbe,
    held: new Map<string, string>(),
    looks: 0,
    changes: 0,
    line: 0,
    onReport: (): void => undefined,
  };
  const events: RecordBody<'event'>['event'][] = [];
  const clock = manualClock();
  const open = (bootId = 'boot-1') =>
    new GpuHealth({
      ...{ clock, kernelLog, stateDir: folder, bootId, lookEveryMs: 60_000, log: createLog({ level: 'silent' }) },
      probe: async () => {
        world.looks += 1;
        return world.probe;
      },
      links: async () => new Map(),
      heldBy: (uuid) => world.held.get(uuid) ?? null,
      report: ({ event }) => {
        world.onReport();
        events.push(event);
      },
      onChange: () => {
        world.changes += 1;
      },
    });
  const say = (...texts: string[]) => {
    for (const text of texts) {
      world.line += 1;
      appendFileSync(kernelLog, `3,${world.line},${world.line}000000,-;NVRM: ${text}\n`);
    }
  };
  const see = async (health: GpuHealth, probe: GpuProbe) => {
    world.probe = probe;
    await health.look(never);
  };
  return { folder, world, events, clock, open, say, see, types: () => events.map(({ type }) => type) };
}

const statesOf = (health: GpuHealth) => Object.fromEntries(health.cards().map(({ uuid, health: is }) => [uuid, is]));

describe('a card that vanishes (FAULTS 30)', () => {
  it('is quarantined alone, and trusted again when it was there at two looks in a row', async () => {
    const { open, see, types, events, world } = bench();
    const health = open();
    world.held.set('GPU-b', 'notebook-1');
    await see(health, both);

    await see(health, sampleProbe({ gpus: [a], reason: 'A card fell off the bus.' }));
    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy', 'GPU-b': 'unhealthy' });
    expect(health.unhealthy().get('GPU-b')).toBe('The driver does not list it any more. A card fell off the bus.');
    await see(health, both);
    expect(health.isHealthy('GPU-b')).toBe(false);
    await see(health, both);

    expect(health.isHealthy('GPU-b')).toBe(true);
    expect(types()).toEqual(['gpu.vanished', 'gpu.recovered']);
    expect(events[0]?.values).toMatchObject({ uuid: 'GPU-b', held_by: 'notebook-1' });
  });

  it('begins to count anew when it goes again', async () => {
    const { open, see, types } = bench();
    const health = open();
    for (const gpus of [[a, b], [a], [a, b], [a], [a, b]]) {
      await see(health, sampleProbe({ gpus }));
    }

    expect(health.isHealthy('GPU-b')).toBe(false);
    expect(types()).toEqual(['gpu.vanished']);
  });

  it('is still missed after the agent was started again', async () => {
    const { open, see } = bench();
    const first = open();
    await see(first, both);
    await see(first, sampleProbe({ gpus: [a] }));

    const second = open();
    await see(second, sampleProbe({ gpus: [a] }));

    expect(statesOf(second)).toEqual({ 'GPU-a': 'healthy', 'GPU-b': 'unhealthy' });
  });

  it('is given up by an operator', async () => {
    const { open, see } = bench();
    const health = open();
    await see(health, both);
    await see(health, sampleProbe({ gpus: [a] }));

    expect([health.clear('GPU-b'), health.clear('GPU-b')]).toEqual([true, false]);
    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy' });
  });

  it('is missed too when the tool of its driver is taken away', async () => {
    const { open, see } = bench();
    const health = open();
    await see(health, both);
    await see(health, sampleProbe());

    expect(statesOf(health)).toEqual({ 'GPU-a': 'unhealthy', 'GPU-b': 'unhealthy' });
  });
});

describe('a card that is cut into parts', () => {
  const part = sampleGpu({ uuid: 'MIG-1', pci_address: '0000:3b:00.0', mig: { parent: 'GPU-b', profile: '1g.10gb' } });
  const board = { uuid: 'GPU-b', name: b.name, pci_address: b.pci_address };
  const cut = sampleProbe({
    gpus: [a, part],
    partitioned: [{ ...board, parts: 1 }],
  });

  it('is forgotten with no word, and so are parts that are put together again', async () => {
    const { open, see, types } = bench();
    const health = open();
    await see(health, both);
    await see(health, cut);
    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy', 'MIG-1': 'healthy' });
    await see(health, both);

    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy', 'GPU-b': 'healthy' });
    expect(types()).toEqual([]);
  });

  it('is missed where a workload holds it, and where the driver cannot list parts', async () => {
    const { open, see, world } = bench();
    const health = open();
    await see(health, cut);
    await see(health, sampleProbe({ gpus: [a], partitioned: [{ ...board, parts: 0 }], reason: 'hangs' }));
    expect(health.isHealthy('MIG-1')).toBe(false);

    world.held.set('GPU-a', 'notebook-1');
    await see(
      health,
      sampleProbe({ gpus: [sampleGpu({ uuid: 'MIG-2', mig: { parent: 'GPU-a', profile: '7g.80gb' } })] }),
    );

    expect(health.unhealthy().get('GPU-a')).toContain('cut into other parts');
  });

  it('has all its parts quarantined by what the kernel says of it', async () => {
    const { open, see, say, clock } = bench();
    const health = open();
    await see(health, cut);
    say(uncontained);
    await listening(health, clock, () => undefined);

    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy', 'MIG-1': 'unhealthy' });
  });
});

describe('a driver in trouble (FAULTS 30)', () => {
  it('makes none of its cards trusted until it answers, and those of another maker all along', async () => {
    const { open, see, types } = bench();
    const health = open();
    const amd = {
      vendor: 'amd',
      tool: '/opt/rocm/bin/amd-smi',
      gpus: [sampleGpu({ uuid: 'GPU-amd', vendor: 'amd' })],
    } as const;
    await see(health, sampleProbe({ gpus: [a] }, amd));

    await see(health, sampleProbe({ reason: 'the driver hangs.' }, amd));
    expect(statesOf(health)).toEqual({ 'GPU-a': 'unhealthy', 'GPU-amd': 'healthy' });
    expect((await health.inventory(never)).reason).toBe('the driver hangs.');
    await see(health, sampleProbe({ reason: 'the driver hangs.' }, amd));
    await see(health, sampleProbe({ gpus: [a] }, amd));

    expect(statesOf(health)).toEqual({ 'GPU-a': 'healthy', 'GPU-amd': 'healthy' });
    expect((await health.inventory(never)).reason).toBeNull();
    expect(types()).toEqual(['gpu.unhealthy', 'gpu.recovered']);
  });

  it('is told of once, also where it has never shown a card', async () => {
    const { open, see, types } = bench();
    const health = open();
    await see(health, hangs);
    await see(health, hangs);

    expect(health.cards()).toEqual([]);
    expect(types()).toEqual(['gpu.unhealthy']);
  });

  it('may say of a single card that it is not well', async () => {
    const { open, see, types } = bench();
    const health = open();
    const bad = { ...b, health: 'unhealthy', reason: 'The driver says of the card: GPU requires reset.' } as const;
    await see(health, sampleProbe({ gpus: [a, bad] }));
    expect(health.unhealthy()).toEqual(new Map([['GPU-b', bad.reason]]));
    await see(health, both);

    expect(types()).toEqual(['gpu.unhealthy', 'gpu.recovered']);
  });
});

describe('what the kernel says of a card', () => {
  it('is told, and changes nothing, where it is an application that failed', async () => {
    const { open, say, clock, events } = bench();
    const health = open();
    say(
      'Xid (PCI:0000:3b:00): 31, pid=7, name=python3, MMU Fault',
      'Xid (PCI:0000:3b:00): 31, pid=7, name=python3, MMU Fault',
    );
    await listening(health, clock, () => undefined);

    expect(health.unhealthy()).toEqual(new Map());
    expect(events).toMatchObject([
      { type: 'gpu.xid', values: { xid: 31, uuids: ['GPU-b'], count: 2, needs: 'nothing' } },
    ]);
  });

  it('is told once a minute where it is said again and again', async () => {
    const { open, say, clock, events } = bench();
    const health = open();
    await listening(health, clock, async () => {
      for (let round = 0; round < 14; round += 1) {
        say('Xid (PCI:0000:3b:00): 13, Graphics Exception');
        await clock.advance(5000);
      }
    });

    expect(events.map(({ values }) => values['count'])).toEqual([1, 12]);
  });

  it('quarantines the card, has the drivers asked at once, and outlives the agent', async () => {
    const { open, say, clock, world, types } = bench();
    const first = open();
    await listening(first, clock, async () => {
      const before = world.looks;
      say(uncontained);
      await clock.advance(5000);
      expect(world.looks).toBe(before + 1);
    });
    expect(first.unhealthy().get('GPU-b')).toMatch(
      /^Xid 95 at .* \(uncontained memory error\): the card has to be reset/,
    );

    const second = open();
    expect(second.isHealthy('GPU-b')).toBe(false);
    await listening(second, clock, () => undefined);

    expect(second.isHealthy('GPU-b')).toBe(false);
    expect(types()).toEqual(['gpu.unhealthy', 'gpu.xid']);
  });

  it.each([
    ['a driver that was loaded anew', 'loading NVIDIA UNIX x86_64 Kernel Module  570.86.15', uncontained],
    [
      'the word of the driver',
      'Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x1 (Reset) to 0x0 (None)',
      uncontained,
    ],
    [
      'the word of the driver',
      'Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x2 (Reboot) to 0x0 (None)',
      offTheBus,
    ],
  ])('is over by %s', async (_what, mended, broken) => {
    const { open, say, clock, types } = bench();
    const health = open();
    await listening(health, clock, async () => {
      say(broken);
      await clock.advance(5000);
      expect(health.isHealthy('GPU-b')).toBe(false);
      say(mended);
      await clock.advance(5000);
    });

    expect(health.isHealthy('GPU-b')).toBe(true);
    expect(types()).toContain('gpu.recovered');
  });

  it('is not over by a driver that was loaded anew where the host has to be rebooted, but by that', async () => {
    const { open, say, clock, folder, see, types } = bench();
    const first = open();
    await listening(first, clock, async () => {
      say(offTheBus, 'loading NVIDIA UNIX x86_64 Kernel Module  570.86.15');
      await clock.advance(5000);
    });
    expect(first.unhealthy().get('GPU-b')).toContain('the host has to be rebooted');

    writeFileSync(join(folder, 'kmsg'), '3,0,1000,-;Linux version 6.8.0\n');
    const second = open('boot-2');
    await see(second, both);

    expect(second.unhealthy()).toEqual(new Map());
    expect(types().at(-1)).toBe('gpu.recovered');
  });

  it('counts again from the first line after a reboot', async () => {
    const { open, say, clock, folder, world } = bench();
    await listening(open(), clock, async () => {
      world.line = 900;
      say(offTheBus);
      await clock.advance(5000);
    });

    writeFileSync(join(folder, 'kmsg'), `3,5,1000,-;NVRM: ${uncontained}\n`);
    const second = open('boot-2');
    await listening(second, clock, () => undefined);

    expect(second.unhealthy().get('GPU-b')).toContain('Xid 95');
  });

  it('is forgotten when an operator has seen to the card, also by the next agent', async () => {
    const { open, say, clock, types } = bench();
    const health = open();
    await listening(health, clock, async () => {
      say(offTheBus);
      await clock.advance(5000);
    });

    expect(health.clear('GPU-b')).toBe(true);
    expect(health.isHealthy('GPU-b')).toBe(true);
    const next = open();
    await listening(next, clock, () => undefined);

    expect(next.isHealthy('GPU-b')).toBe(true);
    expect(types()).toEqual(['gpu.unhealthy', 'gpu.xid', 'gpu.recovered']);
  });

  it('is believed of no card at another address', async () => {
    const { open, say, clock } = bench();
    const health = open();
    say(offTheBus.replace('3b', '3c'));
    await listening(health, clock, () => undefined);

    expect(health.unhealthy()).toEqual(new Map());
  });

  it('is known to go unheard where its log cannot be read', async () => {
    const { open, clock, folder } = bench();
    rmSync(join(folder, 'kmsg'));
    const health = open();
    await listening(health, clock, () => undefined);

    expect(health.hearsKernel).toBe(false);
  });
});

it('asks a host without any driver once an hour', async () => {
  const { open, clock, world, folder } = bench();
  world.probe = sampleProbe();
  await listening(open(), clock, async () => {
    await clock.advance(3_599_000);
    expect(world.looks).toBe(1);
    await clock.advance(2000);
    expect(world.looks).toBe(2);
  });

  expect(JSON.parse(readFileSync(join(folder, 'gpu-health.json'), 'utf8'))).toMatchObject({ cards: [], xids: [] });
});

it('looks at a host with a driver at its interval, and tells whoever listens only what has changed', async () => {
  const { open, clock, world } = bench();
  await listening(open(), clock, async () => {
    await clock.advance(180_000);
  });

  expect(world.looks).toBe(4);
  expect(world.changes).toBe(1);
});

it('lets whoever wants a card wait for the first look, and no longer than that', async () => {
  const { open, see } = bench();
  const health = open();
  const asked = health.inventory(never);
  const given = health.inventory(AbortSignal.abort(new Error('cancelled')));
  await expect(given).rejects.toThrow('cancelled');
  await see(health, both);

  expect((await asked).gpus.map(({ uuid }) => uuid)).toEqual(['GPU-a', 'GPU-b']);
});

it('judges the kernel from its first line where what was kept cannot be read', async () => {
  const { open, say, clock, folder } = bench();
  writeFileSync(join(folder, 'gpu-health.json'), '{"boot_id":');
  say(offTheBus);
  const health = open();
  await listening(health, clock, () => undefined);

  expect(health.isHealthy('GPU-b')).toBe(false);
});

it('goes on where nothing can be written down', async () => {
  const { open, see, folder, types } = bench();
  mkdirSync(join(folder, 'gpu-health.json.new'));
  const health = open();
  await see(health, both);
  await see(health, sampleProbe({ gpus: [a] }));

  expect(types()).toEqual(['gpu.vanished']);
  expect(existsSync(join(folder, 'gpu-health.json'))).toBe(false);
});

it('goes on where an event could not be kept, and does not ask for cards without an end', async () => {
  const { open, say, clock, world } = bench();
  const health = open();
  world.onReport = () => {
    throw new Error('The disk is full.');
  };
  await listening(health, clock, async () => {
    say(offTheBus);
    await clock.advance(5000);
    expect(health.isHealthy('GPU-b')).toBe(false);
    const before = world.looks;
    await clock.advance(600_000);
    expect(world.looks - before).toBeLessThanOrEqual(12);
    world.onReport = () => undefined;
    say('Xid (PCI:0000:17:00): 95, pid=1, name=python3, Uncontained: FBHUB');
    await clock.advance(10_000);
  });

  expect(health.isHealthy('GPU-a')).toBe(false);
});

it('keeps nobody waiting where the cards cannot be looked at', async () => {
  const { open, clock, world } = bench();
  const health = open();
  Object.defineProperty(world, 'probe', {
    get: () => {
      throw new Error('EIO');
    },
  });
  const asked = health.inventory(never);
  await listening(health, clock, () => undefined);

  expect((await asked).gpus).toEqual([]);
});

/** Runs it while `meanwhile` goes on; everything that was said has been heard when it resolves. */
async function listening(
  health: GpuHealth,
  clock: ReturnType<typeof manualClock>,
  meanwhile: () => void | Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const run = health.run(stop.signal);
  await clock.advance(0);
  await meanwhile();
  await clock.advance(0);
  stop.abort();
  await run;
}
