/** Checks that the addresses kept for workload networks are not in use on this host for anything else. */
import { readFile } from 'node:fs/promises';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type Check, check, type Finding, fail, ok, warn } from './check.ts';

export interface NetworkCheck {
  /** IPv4 range in CIDR notation. */
  readonly pool: string;
  readonly root: string;
  readonly interfaces?: () => Readonly<Record<string, NetworkInterfaceInfo[] | undefined>>;
}

/** IPv4 range: first address as a number, and the length of its prefix. */
interface Range {
  readonly first: number;
  readonly prefix: number;
}

interface UsedRange extends Range {
  /** Interface it is reached through. */
  readonly via: string;
}

/** Workload networks are cut from the pool in this size, each on a bridge that the engine names. */
const workloadPrefix = 28;

export function networkCheck({ pool, root, interfaces = networkInterfaces }: NetworkCheck): Check {
  return check(
    'network.pool',
    'A range that is in use already is not given to workloads, and one that is used twice loses traffic.',
    async () => judge(pool, [...(await routes(root)), ...addresses(unlessForbidden(interfaces))]),
  );
}

/** The gate cuts no network where a route leads already: what is covered whole has no room, what is touched has less. */
function judge(pool: string, used: readonly UsedRange[]): Finding {
  const range = parseCidr(pool);
  const taken = used.filter((one) => overlaps(one, range) && !isWorkloadNetwork(one, range));
  const found = `${pool} overlaps ${[...new Set(taken.map((one) => `${format(one)} on ${one.via}`))].join(', ')}.`;
  const fix =
    'Set `network_pool` to a private range that this host and its networks do not use; running workloads keep theirs.';
  if (taken.some(({ prefix }) => prefix <= range.prefix)) {
    return fail(found, fix);
  }
  return taken.length === 0 ? ok(`Nothing else on this host uses ${pool}.`) : warn(found, fix);
}

/** One of ours that runs now: as small as ours are, inside the pool, on a bridge of the engine. */
function isWorkloadNetwork({ via, prefix }: UsedRange, pool: Range): boolean {
  return via.startsWith('br-') && prefix >= workloadPrefix && prefix >= pool.prefix;
}

/** Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask …, addresses as hexadecimal words of this machine. */
async function routes(root: string): Promise<UsedRange[]> {
  const table = await readFile(join(root, 'proc/net/route'), 'utf8');
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [via, destination, , , , , , mask] = line.split(/\s+/);
      if (via === undefined || destination === undefined || mask === undefined) {
        return [];
      }
      const range = { via, first: swapped(destination), prefix: bitsOf(swapped(mask)) };
      // The default route contains every range and says nothing about this one.
      return range.prefix === 0 ? [] : [range];
    });
}

/** A service that may open no netlink socket is not told. The networks that addresses lie in are routes as well. */
function unlessForbidden(interfaces: NonNullable<NetworkCheck['interfaces']>) {
  try {
    return interfaces();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SYSTEM_ERROR') {
      return {};
    }
    throw error;
  }
}

function addresses(interfaces: Readonly<Record<string, NetworkInterfaceInfo[] | undefined>>): UsedRange[] {
  return Object.entries(interfaces).flatMap(([via, infos = []]) =>
    infos.flatMap(({ family, cidr }) => (family === 'IPv4' && cidr !== null ? [{ via, ...parseCidr(cidr) }] : [])),
  );
}

function overlaps(one: Range, other: Range): boolean {
  const size = 2 ** (32 - Math.min(one.prefix, other.prefix));
  return Math.floor(one.first / size) === Math.floor(other.first / size);
}

function parseCidr(cidr: string): Range {
  const [address = '', prefix] = cidr.split('/');
  const bits = Number(prefix);
  const size = 2 ** (32 - bits);
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return { first: Math.floor(number / size) * size, prefix: bits };
}

function format({ first, prefix }: Range): string {
  return `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')}/${prefix}`;
}

function swapped(word: string): number {
  return Buffer.from(word, 'hex').readUInt32LE();
}

function bitsOf(mask: number): number {
  return mask.toString(2).replaceAll('0', '').length;
}
