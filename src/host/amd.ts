/**
 * AMD cards as ROCm's tools report them, with the render node by which the kernel hands each of them out.
 *
 * `amd-smi` is asked, or the older `rocm-smi` where that one is not there or cannot tell. The id of a card is the kernel's
 * own `unique_id`, written as ROCm's runtime does (`GPU-` and 16 digits): the tools write it in ways of their own.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gpu } from '../contract/gpus.ts';
import { askDriver, pciAddress, quoted, whyNoAnswer } from './ask-driver.ts';
import type { DriverProbe } from './driver-probe.ts';
import { findProgram } from './programs.ts';
import type { ProgramOptions } from './run-program.ts';

/** Where ROCm's packages put their tools, on no PATH by default. */
export const rocmPlaces = ['/opt/rocm/bin'] as const;

export interface AmdProbe extends DriverProbe {
  /** Device file of each card, by its UUID. */
  readonly renderNodes: ReadonlyMap<string, string>;
}

/** What a tool tells of one card. */
interface AmdCard {
  readonly address: string;
  readonly serial: string | null;
  readonly name: string;
  readonly memoryMib: number;
  readonly driver: string | null;
}

const tools = [
  {
    name: 'amd-smi',
    args: ['static', '--asic', '--bus', '--vram', '--driver', '--json'],
    read: cardsOfAmdSmi,
  },
  {
    name: 'rocm-smi',
    args: [
      ...['--showproductname', '--showuniqueid', '--showbus', '--showmeminfo', 'vram'],
      ...['--showdriverversion', '--json'],
    ],
    read: cardsOfRocmSmi,
  },
] as const;

/** Undefined where none of the tools is installed. Rejects only with the signal's reason. */
export async function probeAmd(
  folders: readonly string[],
  root: string,
  options: ProgramOptions,
): Promise<AmdProbe | undefined> {
  let first: AmdProbe | undefined;
  for (const { name, args, read } of tools) {
    const tool = await findProgram(name, folders);
    if (tool === null) {
      continue;
    }
    const result = await askDriver(tool, args, options);
    const cards = result.outcome === 'exited' ? read(jsonIn(result.stdout)) : undefined;
    if (cards !== undefined && cards.length > 0) {
      return await describe(tool, cards, root);
    }
    const said = result.outcome === 'exited' ? quoted(`${result.stdout} ${result.stderr}`) : '';
    const failed = result.outcome === 'exited' && (cards === undefined || result.exitCode !== 0);
    const reason =
      whyNoAnswer(tool, result, options.timeoutMs) ?? (failed ? `${tool} listed no cards${said && `: ${said}`}` : null);
    first ??= { vendor: 'amd', tool, gpus: [], partitioned: [], reason, renderNodes: new Map() };
    if (result.outcome === 'timed_out') {
      break;
    }
  }
  return first;
}

async function describe(tool: string, cards: readonly AmdCard[], root: string): Promise<AmdProbe> {
  const renderNodes = new Map<string, string>();
  const gpus: Gpu[] = [];
  const nameless: string[] = [];
  for (const { address, serial, name, memoryMib, driver } of cards) {
    const device = join(root, 'sys/bus/pci/devices', address);
    const id = uniqueId((await readText(join(device, 'unique_id'))) ?? serial);
    if (id === null) {
      nameless.push(address);
      continue;
    }
    const uuid = `GPU-${id}`;
    const nodes = (await list(join(device, 'drm'))).filter((node) => /^renderD\d{1,4}$/.test(node));
    const [node] = nodes;
    if (node !== undefined) {
      renderNodes.set(uuid, `/dev/dri/${node}`);
    }
    gpus.push({
      ...{ uuid, vendor: 'amd', name, memory_mib: memoryMib, driver, pci_address: address, mig: null, held_by: null },
      health: node === undefined ? 'unhealthy' : 'healthy',
      reason: node === undefined ? 'The kernel has no render node for it (/dev/dri/renderD…): is amdgpu loaded?' : null,
    });
  }
  const reason =
    nameless.length === 0
      ? null
      : `The cards at ${nameless.join(', ')} have no id of their own and cannot be leased.`.slice(0, 1000);
  return { vendor: 'amd', tool, gpus, partitioned: [], reason, renderNodes };
}

/** 16 digits in lower case: a tool leaves out leading zeros, or writes `0x` before them. Zero is no id. */
function uniqueId(text: string | null): string | null {
  const [, digits] = /^(?:0x)?([0-9a-f]{1,16})$/.exec(text?.trim().toLowerCase() ?? '') ?? [];
  return digits === undefined || /^0+$/.test(digits) ? null : digits.padStart(16, '0');
}

/** The tools write warnings before their JSON, such as that this user is not in the group `render`. */
function jsonIn(stdout: string): unknown {
  const begin = stdout.search(/^[[{]/m);
  try {
    return begin < 0 ? undefined : JSON.parse(stdout.slice(begin));
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/** A list of cards up to ROCm 6, in an object from ROCm 7 on; undefined for anything else. */
function cardsIn(json: unknown): Fields[] | undefined {
  const entries = Array.isArray(json) ? json : fields(json)['gpu_data'];
  return Array.isArray(entries) ? entries.map(fields) : undefined;
}

function cardsOfAmdSmi(json: unknown): AmdCard[] | undefined {
  return cardsIn(json)?.flatMap((card) => {
    const [asic, bus, vram, driver] = ['asic', 'bus', 'vram', 'driver'].map((key) => fields(card[key]));
    const address = pciAddress(text(bus?.['bdf']) ?? '');
    if (address === null) {
      return [];
    }
    const size = fields(vram?.['size']);
    const mib = text(size['unit']) === 'B' ? Number(size['value']) / 2 ** 20 : Number(size['value']);
    return [
      {
        ...{ address, serial: text(asic?.['asic_serial']), memoryMib: amount(mib) },
        ...{ name: nameOf(asic?.['market_name']), driver: text(driver?.['version'])?.slice(0, 64) ?? null },
      },
    ];
  });
}

/** `{"card0": {"Unique ID": "0x…", "PCI Bus": "0000:0C:00.0", …}, "system": {"Driver version": "6.10.5"}}`. */
function cardsOfRocmSmi(json: unknown): AmdCard[] | undefined {
  const report = fields(json);
  const cards = Object.entries(report).filter(([key]) => /^card\d+$/.test(key));
  const driver = text(fields(report['system'])['Driver version'])?.slice(0, 64) ?? null;
  return json === undefined
    ? undefined
    : cards.flatMap(([, value]) => {
        const card = fields(value);
        const address = pciAddress(text(card['PCI Bus']) ?? '');
        const memoryMib = amount(Number(card['VRAM Total Memory (B)']) / 2 ** 20);
        // The case of the words differs between releases.
        const name = nameOf(card['Card Series'] ?? card['Card series']);
        return address === null ? [] : [{ address, serial: text(card['Unique ID']), name, memoryMib, driver }];
      });
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Null for what is not told, which the tools write as `N/A`. */
function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value !== 'N/A' ? quoted(value) : null;
}

function nameOf(value: unknown): string {
  return text(value)?.slice(0, 256) ?? 'AMD GPU';
}

function amount(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.round(value) : 0;
}

async function readText(path: string): Promise<string | null> {
  return await readFile(path, 'utf8').catch(absent(null));
}

async function list(path: string): Promise<string[]> {
  return await readdir(path).catch(absent([]));
}

function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EINVAL'].includes(String((error as NodeJS.ErrnoException).code))) {
      return value;
    }
    throw error;
  };
}
