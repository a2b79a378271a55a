/**
 * NVIDIA cards as their driver reports them: whole cards, and MIG instances in place of the cards that are cut into them.
 *
 * Read from `nvidia-smi --query-gpu=… --format=csv` and, only where a card is in MIG mode, from `nvidia-smi -L`.
 */
import type { Gpu } from '../contract/gpus.ts';
import { askDriver, pciAddress, quoted, whyNoAnswer } from './ask-driver.ts';
import type { DriverProbe, PartitionedGpu } from './driver-probe.ts';
import type { ProgramOptions, ProgramResult } from './run-program.ts';

const query = [
  '--query-gpu=uuid,name,memory.total,driver_version,pci.bus_id,mig.mode.current',
  '--format=csv,noheader,nounits',
];

/** Rejects only with the signal's reason. */
export async function probeNvidia(tool: string, options: ProgramOptions): Promise<DriverProbe> {
  const result = await askDriver(tool, query, options);
  if (result.outcome !== 'exited') {
    return nothing(tool, whyNoAnswer(tool, result, options.timeoutMs));
  }
  const { cards, strange } = readTable(result.stdout);
  const reason = troubleOf(tool, result, strange);
  const whole = cards.filter(({ mig }) => !mig).map(({ gpu }) => gpu);
  const cut = cards.filter(({ mig }) => mig).map(({ gpu }) => gpu);
  if (cut.length === 0) {
    return { vendor: 'nvidia', tool, gpus: whole, partitioned: [], reason };
  }
  const parts = await probeParts(tool, cut, options);
  return {
    ...{ vendor: 'nvidia', tool, gpus: [...whole, ...parts.gpus], partitioned: parts.partitioned },
    reason: reason ?? parts.reason,
  };
}

const nothing = (tool: string, reason: string | null): DriverProbe => ({
  ...{ vendor: 'nvidia', tool, gpus: [], partitioned: [], reason },
});

/** The instances of these cards. A card in MIG mode without any stands in `partitioned` alone: nothing of it can be leased. */
async function probeParts(
  tool: string,
  cut: readonly Gpu[],
  options: ProgramOptions,
): Promise<Pick<DriverProbe, 'gpus' | 'partitioned' | 'reason'>> {
  const result = await askDriver(tool, ['-L'], options);
  const lists = result.outcome === 'exited' ? readList(result.stdout) : new Map<string, Part[]>();
  const unlisted = cut.filter(({ uuid }) => !lists.has(uuid));
  const reason =
    whyNoAnswer(tool, result, options.timeoutMs) ??
    (unlisted.length > 0
      ? `${tool} -L does not list ${unlisted.map(({ uuid }) => uuid).join(', ')}.`.slice(0, 1000)
      : null);
  const partitioned = cut.map(
    ({ uuid, name, pci_address }): PartitionedGpu => ({ uuid, name, pci_address, parts: lists.get(uuid)?.length ?? 0 }),
  );
  return {
    gpus: cut.flatMap((card) => (lists.get(card.uuid) ?? []).map((part) => partOf(card, part))),
    partitioned,
    reason,
  };
}

interface Part {
  readonly uuid: string;
  readonly profile: string;
}

/** The memory is that of the profile's name; the driver's own figure for an instance is a few percent below. */
function partOf(card: Gpu, { uuid, profile }: Part): Gpu {
  const [, gib = '0'] = /(\d{1,4})gb/.exec(profile) ?? [];
  const name = `${card.name.slice(0, 180)} MIG ${profile}`;
  return { ...card, uuid, name, memory_mib: Number(gib) * 1024, mig: { parent: card.uuid, profile } };
}

/**
 * `GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-…)`, and below each the lines `  MIG 2g.20gb     Device  0: (UUID: MIG-…)`.
 * Drivers before 470 name an instance by its parent and two numbers, which no container toolkit takes any more.
 */
function readList(stdout: string): Map<string, Part[]> {
  const lists = new Map<string, Part[]>();
  let parts: Part[] | undefined;
  for (const line of stdout.split('\n')) {
    const [, card] = /^GPU \d+: .{1,256} \(UUID: (GPU-[0-9a-zA-Z-]{1,64})\)\s*$/.exec(line) ?? [];
    const [, profile, uuid] =
      /^\s+MIG ([0-9a-z.+-]{1,64})\s+Device\s+\d+: \(UUID: (MIG-[0-9a-zA-Z-]{1,64})\)\s*$/.exec(line) ?? [];
    if (card !== undefined) {
      parts = [];
      lists.set(card, parts);
    } else if (profile !== undefined && uuid !== undefined) {
      parts?.push({ uuid, profile });
    }
  }
  return lists;
}

/** What a column says where it has nothing to say; anything else in brackets is trouble, such as `[GPU requires reset]`. */
const silent = /^\[(N\/A|Not Supported|Unknown)\]$/;

/**
 * One line a card: `GPU-…, NVIDIA H100 80GB HBM3, 81559, 570.86.15, 00000000:17:00.0, Disabled`. A name may hold a comma,
 * the other columns may not. A card that shares the memory of the host reports `[N/A]` for it.
 */
const row =
  /^(GPU-[0-9a-zA-Z-]{1,64}), (.{1,256}), (\d{1,9}|\[[^\]]{1,200}\]), ([^,]{1,64}), ([^,]{1,64}), ([^,]{1,200}?)\s*$/;

function readTable(stdout: string): { cards: { gpu: Gpu; mig: boolean }[]; strange: string[] } {
  const cards: { gpu: Gpu; mig: boolean }[] = [];
  const strange: string[] = [];
  for (const line of stdout.split('\n').filter((text) => text.trim() !== '')) {
    const [, uuid, name, memory, driver, bus, mode] = row.exec(line) ?? [];
    if (uuid === undefined || name === undefined || !memory || !driver || !bus || !mode) {
      strange.push(line);
      continue;
    }
    const trouble = [memory, mode].find((text) => text.startsWith('[') && !silent.test(text));
    const gpu: Gpu = {
      ...{ uuid, vendor: 'nvidia', name: quoted(name, 256), memory_mib: memory.startsWith('[') ? 0 : Number(memory) },
      ...{ driver: driver.startsWith('[') ? null : quoted(driver), pci_address: pciAddress(bus), mig: null },
      ...{ health: trouble === undefined ? 'healthy' : 'unhealthy', held_by: null },
      reason: trouble === undefined ? null : `The driver says of the card: ${quoted(trouble.slice(1, -1))}.`,
    };
    cards.push({ gpu, mig: mode === 'Enabled' });
  }
  return { cards, strange };
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
    const said = quoted(`${strange.join(' ')} ${result.stderr}`);
    const meaning = exits[result.exitCode] ?? 'an error without a name';
    return `${tool} ended with ${result.exitCode} (${meaning})${said === '' ? '.' : `: ${said}`}`;
  }
  return strange.length === 0 ? null : `${tool} reported a card that cannot be read: ${quoted(strange.join(' '))}`;
}
