/**
 * The NVIDIA cards of this host, as their driver reports them.
 *
 * A driver in trouble hangs or ends in an error. Both are an answer here: the cards that were reported, and a reason.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gpu } from '../contract/gpus.ts';
import { findProgram, searchFolders } from './programs.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

export interface GpuProbe {
  /** Cards that answered; empty without a driver. */
  readonly gpus: Gpu[];
  /** Path of the driver's tool; null if it is not installed. */
  readonly tool: string | null;
  /** What is wrong, one sentence; null if nothing is, a host without cards included. */
  readonly reason: string | null;
}

export interface GpuSources {
  readonly path: string | undefined;
  readonly places?: readonly string[];
  /** A healthy driver of eight cards that is not kept loaded takes several seconds. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

const query = ['--query-gpu=uuid,name,memory.total', '--format=csv,noheader,nounits'];

/** Rejects only with the signal's reason. */
export async function probeGpus({ path, places, timeoutMs = 10_000, signal }: GpuSources): Promise<GpuProbe> {
  const tool = await findProgram('nvidia-smi', searchFolders(path, places));
  if (tool === null) {
    return { gpus: [], tool, reason: null };
  }
  const result = await runProgram(tool, query, { timeoutMs, signal });
  if (result.outcome === 'timed_out') {
    return { gpus: [], tool, reason: `${tool} did not answer within ${timeoutMs / 1000} s: the driver hangs.` };
  }
  if (result.outcome === 'broken') {
    return { gpus: [], tool, reason: `${tool} could not be run: ${result.why}.` };
  }
  const { gpus, strange } = readTable(result.stdout);
  return { gpus, tool, reason: troubleOf(tool, result, strange) };
}

/** Addresses of the NVIDIA display controllers on the PCI bus, driver or not. */
export async function nvidiaCardsOnBus(root = '/'): Promise<string[]> {
  const folder = join(root, 'sys/bus/pci/devices');
  const addresses = await readdir(folder).catch(absent([]));
  const cards = await Promise.all(
    addresses.map(async (address) => {
      const [vendor, kind] = await Promise.all(
        ['vendor', 'class'].map((file) => readFile(join(folder, address, file), 'utf8').catch(absent(''))),
      );
      return vendor?.trim() === '0x10de' && kind?.startsWith('0x03') ? [address] : [];
    }),
  );
  return cards.flat().sort();
}

/** One line a card: `GPU-…, NVIDIA H100 80GB HBM3, 81559`. A name may hold a comma, UUID and memory may not. */
function readTable(stdout: string): { gpus: Gpu[]; strange: string[] } {
  const gpus: Gpu[] = [];
  const strange: string[] = [];
  for (const line of stdout.split('\n').filter((text) => text.trim() !== '')) {
    const [, uuid, name, memory] = /^(GPU-[0-9a-zA-Z-]{1,64}), (.{1,256}), (\d{1,9}|\[[^\]]*\])\s*$/.exec(line) ?? [];
    if (uuid === undefined || name === undefined || memory === undefined) {
      strange.push(line);
    } else {
      // A card that shares the memory of the host reports `[N/A]`.
      gpus.push({
        ...{ uuid, name, vendor: 'nvidia', memory_mib: memory.startsWith('[') ? 0 : Number(memory) },
        ...{ driver: null, pci_address: null, mig: null, health: 'healthy', reason: null, held_by: null },
      });
    }
  }
  return { gpus, strange };
}

/** Exit codes of nvidia-smi, from its manual page. */
const exits: Readonly<Record<number, string>> = {
  4: 'this user may not ask the driver',
  6: 'it found no card',
  8: 'a card lacks its external power',
  9: 'the driver is not loaded',
  10: 'the driver has trouble with an interrupt of a card',
  12: 'the library of the driver (NVML) is missing',
  13: 'the library of the driver is older than the tool',
  14: 'the firmware information of a card is corrupted',
  15: 'a card fell off the bus',
};

function troubleOf(tool: string, result: ProgramResult & { outcome: 'exited' }, strange: readonly string[]) {
  if (result.exitCode !== 0) {
    const said = `${strange.join(' ')} ${result.stderr}`.trim().slice(0, 300);
    const meaning = exits[result.exitCode] ?? 'an error without a name';
    return `${tool} ended with ${result.exitCode} (${meaning})${said === '' ? '.' : `: ${said}`}`;
  }
  return strange.length === 0
    ? null
    : `${tool} reported a card that cannot be read: ${strange.join(' ').slice(0, 300)}`;
}

function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return value;
    }
    throw error;
  };
}
