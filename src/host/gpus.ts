/**
 * The cards of this host, as their drivers report them.
 *
 * A driver in trouble hangs or ends in an error. Both are an answer here: the cards that were reported, and a reason.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gpu } from '../contract/gpus.ts';
import { probeAmd, rocmPlaces } from './amd.ts';
import { driverTimeoutMs } from './ask-driver.ts';
import type { DriverProbe } from './driver-probe.ts';
import { probeNvidia } from './nvidia.ts';
import { findProgram, knownPlaces, searchFolders } from './programs.ts';

export interface GpuProbe {
  /** Of all drivers. */
  readonly gpus: readonly Gpu[];
  /** Those that are installed; empty on a host without any. */
  readonly drivers: readonly DriverProbe[];
  /** `/dev/dri/renderD…` of each AMD card by its UUID: what a container gets beside `/dev/kfd`. */
  readonly renderNodes: ReadonlyMap<string, string>;
}

export interface GpuSources {
  readonly path: string | undefined;
  /** Searched behind PATH; those of the packages without it. */
  readonly places?: readonly string[];
  /** `/`, or the folder that stands for it in a test. */
  readonly root?: string;
  /** Longest that one call of a driver's tool may take. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/** Rejects only with the signal's reason. Takes at most two calls of each driver's tool. */
export async function probeGpus({ path, places, root = '/', timeoutMs, signal }: GpuSources): Promise<GpuProbe> {
  const folders = searchFolders(path, places ?? [...knownPlaces, ...rocmPlaces]);
  const options = { timeoutMs: timeoutMs ?? driverTimeoutMs, signal };
  const askNvidia = async () => {
    const tool = await findProgram('nvidia-smi', folders);
    return tool === null ? undefined : await probeNvidia(tool, options);
  };
  const [nvidia, amd] = await Promise.all([askNvidia(), probeAmd(folders, root, options)]);
  const drivers = [nvidia, amd].filter((driver) => driver !== undefined).map(eachOnce);
  return {
    ...{ gpus: drivers.flatMap(({ gpus }) => gpus), drivers },
    renderNodes: amd?.renderNodes ?? new Map<string, string>(),
  };
}

/** Of two cards with one UUID nobody could say which is meant, so neither is there. */
function eachOnce(driver: DriverProbe): DriverProbe {
  const uuids = driver.gpus.map(({ uuid }) => uuid);
  const twice = new Set(uuids.filter((uuid, at) => uuids.indexOf(uuid) !== at));
  if (twice.size === 0) {
    return driver;
  }
  return {
    ...driver,
    gpus: driver.gpus.filter(({ uuid }) => !twice.has(uuid)),
    reason: `${driver.tool} reports more than one card as ${[...twice].join(', ')}.`.slice(0, 1000),
  };
}

/**
 * Maker of each, and the PCI classes of what computes. The display controllers of AMD are left out: most of them are part of a
 * processor.
 */
const onBus = {
  nvidia: { maker: '0x10de', classes: ['0x03'] },
  amd: { maker: '0x1002', classes: ['0x0380', '0x1200'] },
} as const;

/** Addresses of the cards on the PCI bus, driver or not. */
export async function cardsOnBus(vendor: Gpu['vendor'], root = '/'): Promise<string[]> {
  const { maker, classes } = onBus[vendor];
  const folder = join(root, 'sys/bus/pci/devices');
  const addresses = await readdir(folder).catch(absent([]));
  const cards = await Promise.all(
    addresses.map(async (address) => {
      const [found, kind] = await Promise.all(
        ['vendor', 'class'].map((file) => readFile(join(folder, address, file), 'utf8').catch(absent(''))),
      );
      return found?.trim() === maker && classes.some((each) => kind?.startsWith(each)) ? [address] : [];
    }),
  );
  return cards.flat().sort();
}

function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return value;
    }
    throw error;
  };
}
