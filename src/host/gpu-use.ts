/**
 * How much of each card is in use now.
 *
 * NVIDIA's driver tells it by one call of `nvidia-smi` for all cards. AMD's kernel driver writes it into files, and its tools
 * only read those: they are read here, since each start of such a tool costs more time of a processor than all else we do.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Static } from 'typebox';
import type { Gpu } from '../contract/gpus.ts';
import type { GpuSample } from '../contract/records.ts';
import { askDriver } from './ask-driver.ts';
import { findProgram, searchFolders } from './programs.ts';

export type GpuUse = Omit<Static<typeof GpuSample>, 'workload_id'>;

export interface GpuUseSources {
  readonly path: string | undefined;
  readonly places?: readonly string[];
  readonly root?: string;
  readonly timeoutMs?: number;
}

const query = [
  '--query-gpu=uuid,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw',
  '--format=csv,noheader,nounits',
];

/** Shorter than for a look at the cards: everything else that is sampled waits with it. */
const patienceMs = 5000;

export class GpuUseReader {
  readonly #sources: GpuUseSources;
  /** A read of AMD's files that is at work; a driver in trouble does not let go of it. */
  #reading: Promise<GpuUse[]> | undefined;

  constructor(sources: GpuUseSources) {
    this.#sources = sources;
  }

  /** Those of the cards that answered, in their order. Starts nothing where there are no cards. Rejects only with the signal's reason. */
  async read(cards: readonly Gpu[], signal: AbortSignal): Promise<GpuUse[]> {
    const [nvidia, amd] = (['nvidia', 'amd'] as const).map((maker) => cards.filter(({ vendor }) => vendor === maker));
    const uses = await Promise.all([this.#readNvidia(nvidia ?? [], signal), this.#readAmd(amd ?? [], signal)]);
    const byUuid = new Map(uses.flat().map((use) => [use.uuid, use]));
    return cards.flatMap(({ uuid }) => byUuid.get(uuid) ?? []);
  }

  async #readNvidia(cards: readonly Gpu[], signal: AbortSignal): Promise<GpuUse[]> {
    const { path, places, timeoutMs = patienceMs } = this.#sources;
    const tool = cards.length === 0 ? null : await findProgram('nvidia-smi', searchFolders(path, places));
    if (tool === null) {
      return [];
    }
    const result = await askDriver(tool, query, { timeoutMs, signal });
    const boards = readTable(result.outcome === 'exited' ? result.stdout : '');
    return cards.flatMap((card) => {
      const board = boards.get(card.mig?.parent ?? card.uuid);
      return board === undefined ? [] : [card.mig === null ? board : partOf(card, board)];
    });
  }

  async #readAmd(cards: readonly Gpu[], signal: AbortSignal): Promise<GpuUse[]> {
    if (cards.length === 0 || this.#reading !== undefined) {
      return [];
    }
    const { root = '/', timeoutMs = patienceMs } = this.#sources;
    const reading = Promise.all(cards.map((card) => readFiles(card, root)));
    this.#reading = reading;
    const done = () => {
      this.#reading = undefined;
    };
    reading.then(done, done);
    const { promise: late, resolve } = Promise.withResolvers<GpuUse[]>();
    const stop = () => resolve([]);
    const timer = setTimeout(stop, timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const uses = await Promise.race([reading, late]);
      signal.throwIfAborted();
      return uses;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }
}

/** `GPU-…, 37, 40960, 81559, 61, 412.50`; what a card does not tell reads `[N/A]`. */
function readTable(stdout: string): Map<string, GpuUse> {
  const uses = new Map<string, GpuUse>();
  for (const line of stdout.split('\n')) {
    const [uuid = '', utilization, used, total, temperature, power] = line.split(', ').map((text) => text.trim());
    if (/^GPU-[0-9a-zA-Z-]{1,64}$/.test(uuid) && power !== undefined) {
      uses.set(uuid, {
        ...{ uuid, utilization_percent: figure(utilization), memory_used_mib: figure(used) },
        ...{
          memory_total_mib: figure(total),
          temperature_celsius: figure(temperature, -100),
          power_watts: figure(power),
        },
      });
    }
  }
  return uses;
}

/** Of a part the tool tells nothing but what holds for its whole board. */
function partOf({ uuid, memory_mib }: Gpu, board: GpuUse): GpuUse {
  return {
    ...{ uuid, utilization_percent: null, memory_used_mib: null, memory_total_mib: memory_mib },
    ...{ temperature_celsius: board.temperature_celsius, power_watts: null },
  };
}

async function readFiles({ uuid, memory_mib, pci_address }: Gpu, root: string): Promise<GpuUse> {
  const device = join(root, 'sys/bus/pci/devices', pci_address ?? 'none');
  const [sensors] = await readdir(join(device, 'hwmon')).catch(silent([]));
  const read = async (...path: string[]) =>
    figure(await readFile(join(device, ...path), 'utf8').catch(silent('')), -1e6);
  const sensor = async (name: string) => (sensors === undefined ? null : await read('hwmon', sensors, name));
  const [busy, used, temperature, average, now] = await Promise.all([
    read('gpu_busy_percent'),
    read('mem_info_vram_used'),
    sensor('temp1_input'),
    sensor('power1_average'),
    sensor('power1_input'),
  ]);
  const scaled = (value: number | null, unit: number) => (value === null ? null : value / unit);
  return {
    ...{ uuid, utilization_percent: busy, memory_used_mib: scaled(used, 2 ** 20), memory_total_mib: memory_mib },
    // In thousandths of a degree and millionths of a watt; newer cards tell the power of this moment instead of a mean.
    ...{ temperature_celsius: scaled(temperature, 1000), power_watts: scaled(average ?? now, 1e6) },
  };
}

function figure(text: string | undefined, least = 0): number | null {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= least ? value : null;
}

/** A file that this card does not have, or whose sensor sleeps. */
function silent<T>(value: T): (error: unknown) => T {
  return () => value;
}
