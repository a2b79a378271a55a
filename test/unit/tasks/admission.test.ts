import fc from 'fast-check';
import { expect, it } from 'vitest';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerSummary } from '../../../src/runtime/engine.ts';
import { Admission, admit, freeResources } from '../../../src/tasks/admission.ts';

const gib = 2 ** 30;
const totals = { cpuCores: 8, memoryBytes: 32 * gib };
const reserves = { cpu_cores: 1, memory_gib: 4, disk_gib: 10 };
const never = new AbortController().signal;

it('counts what workloads that hold something are promised, and nothing for those that ended', () => {
  const statuses = ['created', 'running', 'paused', 'restarting', 'exited', 'dead', 'removing'];
  const containers = statuses.map((status) => container(status, { status, cpuCores: 1, memoryBytes: gib }));

  const { cpu, memory } = freeResources(containers, totals, reserves);

  expect(cpu).toEqual({ total: 8, reserved: 1, used: 4, free: 3 });
  expect(memory).toEqual({ total: 32 * gib, reserved: 4 * gib, used: 4 * gib, free: 24 * gib });
});

it('has nothing free, and never less than nothing, on a host that promised too much', () => {
  const { cpu, memory } = freeResources([container('a', { cpuCores: 9, memoryBytes: 40 * gib })], totals, reserves);

  expect([cpu.free, memory.free]).toEqual([0, 0]);
});

it('admits exactly what is free, fractions included', () => {
  const containers = [0.1, 0.2, 0.3].map((cpuCores, index) => container(`c${index}`, { cpuCores, memoryBytes: 0 }));
  const free = freeResources(containers, { cpuCores: 2, memoryBytes: 8 * gib }, { cpu_cores: 1, memory_gib: 4 });

  expect(() => admit({ cpu_cores: 0.4, memory_gib: 4 }, free)).not.toThrow();
});

it('refuses with what was asked for, what is free, and a sentence that says so', () => {
  const free = freeResources([container('a', { cpuCores: 6.5, memoryBytes: 2 * gib })], totals, reserves);

  expect(refusal(() => admit({ cpu_cores: 1, memory_gib: 64 }, free))).toMatchObject({
    code: 'resources.exceeded',
    detail: {
      reason: 'Asked for 1 cores, 0.5 free, and for 64 GiB of memory, 26 free.',
      asked: { cpu_cores: 1, memory_gib: 64 },
      free: { cpu_cores: 0.5, memory_gib: 26 },
    },
  });
  expect(refusal(() => admit({ cpu_cores: 0.5, memory_gib: 26.001 }, free))).toMatchObject({
    detail: { reason: 'Asked for 26.001 GiB of memory, 26 free.' },
  });
});

it('lets only one of two launches at once have the last core', async () => {
  const { admission } = host({ containers: [container('old', { cpuCores: 6 })] });

  const results = await Promise.allSettled([
    admission.reserve('a', { cpu_cores: 1, memory_gib: 1 }, never),
    admission.reserve('b', { cpu_cores: 1, memory_gib: 1 }, never),
  ]);

  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
});

it('counts every container of a stack, and the larger of that and of what replaces it', async () => {
  const stack = ['db', 'web'].map((service) => {
    const found = container('a', { cpuCores: 1, memoryBytes: gib });
    return { ...found, id: service, labels: { ...found.labels, [labels.service]: service } };
  });
  const { admission } = host({ containers: stack });

  expect((await admission.read(never)).cpu.used).toBe(2);
  const release = await admission.reserve('a', { cpu_cores: 3, memory_gib: 1 }, never);
  const { cpu, memory } = await admission.read(never);
  release();

  expect([cpu.used, memory.used]).toEqual([3, 2 * gib]);
});

it('gives back what a failed launch had, once', async () => {
  const { admission } = host();
  const one = await admission.reserve('a', { cpu_cores: 3, memory_gib: 1 }, never);
  await admission.reserve('b', { cpu_cores: 4, memory_gib: 1 }, never);

  one();
  one();

  await expect(admission.reserve('c', { cpu_cores: 4, memory_gib: 1 }, never)).rejects.toMatchObject({
    detail: { free: { cpu_cores: 3 } },
  });
  await expect(admission.reserve('c', { cpu_cores: 3, memory_gib: 1 }, never)).resolves.toBeTypeOf('function');
});

it('does not count a launch twice once its container is there', async () => {
  const { admission, containers } = host();
  await admission.reserve('a', { cpu_cores: 3, memory_gib: 1 }, never);

  containers.push(container('a', { cpuCores: 3, memoryBytes: gib }));

  expect((await admission.read(never)).cpu).toMatchObject({ used: 3, free: 4 });
});

it('does not count what an instance has now against its own relaunch', async () => {
  const { admission } = host({ containers: [container('a', { cpuCores: 7, memoryBytes: 28 * gib })] });

  await expect(admission.reserve('a', { cpu_cores: 7, memory_gib: 28 }, never)).resolves.toBeTypeOf('function');
  await expect(admission.reserve('b', { cpu_cores: 0.1, memory_gib: 0.1 }, never)).rejects.toMatchObject({
    code: 'resources.exceeded',
  });
});

it('counts the larger of old container and new grant while an instance is being replaced', async () => {
  const { admission } = host({ containers: [container('a', { cpuCores: 2, memoryBytes: 20 * gib })] });

  await admission.reserve('a', { cpu_cores: 5, memory_gib: 1 }, never);
  const { cpu, memory } = await admission.read(never);

  expect(cpu.used).toBe(5);
  expect(memory.used).toBe(20 * gib);
});

it('keeps counting a launch that ends while the engine is still listing', async () => {
  const { admission, listing } = host({ slow: true });
  const first = admission.reserve('a', { cpu_cores: 7, memory_gib: 1 }, never);
  await listing.next();
  const release = await first;

  // The list that `b` is judged by was made before the container of `a`, and answered after its launch had ended.
  const second = admission.reserve('b', { cpu_cores: 1, memory_gib: 1 }, never);
  await listing.begun();
  release();
  await listing.next();

  await expect(second).rejects.toMatchObject({ code: 'resources.exceeded' });
});

it('goes on after a list that failed, and waits for nobody once it is cancelled', async () => {
  const { admission, breakList } = host();
  breakList(new Error('engine away'));

  await expect(admission.reserve('a', { cpu_cores: 1, memory_gib: 1 }, never)).rejects.toThrow('engine away');
  breakList(undefined);
  await expect(
    admission.reserve('a', { cpu_cores: 1, memory_gib: 1 }, AbortSignal.abort(new Error('no'))),
  ).rejects.toThrow('no');
  await expect(admission.reserve('a', { cpu_cores: 7, memory_gib: 1 }, never)).resolves.toBeTypeOf('function');
});

it('never grants more than the host has, in whatever order launches come and go (FAULTS 33)', async () => {
  const step = fc.record({
    instance: fc.integer({ min: 0, max: 12 }),
    cpu: fc.integer({ min: 1, max: 40 }).map((tenths) => tenths / 10),
    memory: fc.integer({ min: 1, max: 20 }),
    end: fc.constantFrom('container', 'failed', 'still launching'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { admission, containers } = host();
      const held = new Map<string, { cpu: number; memory: number }>();
      await Promise.all(
        steps.map(async ({ instance, cpu, memory, end }, index) => {
          const name = `i${instance}-${index}`;
          const release = await admission
            .reserve(name, { cpu_cores: cpu, memory_gib: memory }, never)
            .catch(() => undefined);
          if (release === undefined) {
            return;
          }
          held.set(name, { cpu, memory });
          await Promise.resolve();
          if (end === 'container') {
            containers.push(container(name, { cpuCores: cpu, memoryBytes: memory * gib }));
          }
          if (end === 'failed') {
            held.delete(name);
          }
          if (end !== 'still launching') {
            release();
          }
        }),
      );

      const sum = (pick: (amount: { cpu: number; memory: number }) => number) =>
        [...held.values()].reduce((total, amount) => total + pick(amount), 0);
      expect(sum(({ cpu }) => cpu)).toBeLessThanOrEqual(7 + 1e-6);
      expect(sum(({ memory }) => memory)).toBeLessThanOrEqual(28);
      expect((await admission.read(never)).memory.used).toBe(sum(({ memory }) => memory) * gib);
    }),
    { numRuns: 200 },
  );
});

function container(instance: string, changes: Partial<ContainerSummary> = {}): ContainerSummary {
  return {
    ...{ id: `id-${instance}`, name: `gpuaas-${instance}`, labels: { [labels.instance]: instance } },
    ...{ status: 'running', cpuCores: 0, memoryBytes: 0 },
    ...changes,
  };
}

/** A host whose engine lists what the test puts there; with `slow`, only when the test lets it answer. */
function host({ containers = [], slow = false }: { containers?: ContainerSummary[]; slow?: boolean } = {}) {
  let failure: Error | undefined;
  const waiting: (() => void)[] = [];
  const begun = async () => {
    while (waiting.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const engine = {
    list: async () => {
      const snapshot = [...containers];
      if (slow) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      if (failure) {
        throw failure;
      }
      return snapshot;
    },
  };
  return {
    containers,
    admission: new Admission({ engine, policy: { reserves }, totals: () => Promise.resolve(totals) }),
    breakList: (error: Error | undefined) => {
      failure = error;
    },
    listing: {
      begun,
      next: async () => {
        await begun();
        waiting.shift()?.();
      },
    },
  };
}

function refusal(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('was not refused');
}
