/**
 * Which IP addresses are public. Whoever lets a stranger name a place asks this of the address that is connected to, never of the
 * name: inputs of jobs, their proxy, their transfers and the manifests that promise where they go.
 */
import { metadataAddresses } from '../contract/metadata-addresses.ts';

/** IPv4 ranges that are no public addresses (IANA's registry of special purposes, multicast, what is reserved, and what clouds use themselves). */
const specialV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4', ...metadataAddresses],
].map(rangeOf);
/** Of IPv6 only this is handed out, and of it not what follows: tunnels that lead to IPv4, and examples. */
const globalV6 = ['2000::/3'].map(rangeOf);
const specialV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'].map(rangeOf);

interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/** Of an address without brackets; false for what is none, and for one with a zone, which is of this link only. */
export function isPublicAddress(text: string): boolean {
  const address = readAddress(text);
  if (!address) return false;
  const isIn = (ranges: readonly Range[]) => ranges.some((range) => holds(range, address));
  return address.bits === 32 ? !isIn(specialV4) : isIn(globalV6) && !isIn(specialV6);
}

/** The address that a host of a URL is, without brackets; undefined for a name. */
export function addressOfHost(host: string): string | undefined {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return readAddress(bare) ? bare : undefined;
}

/** True for an address that is in one of these ranges, `10.0.0.0/8` or a single one. A text that is no range throws. */
export function isInRanges(text: string, ranges: readonly string[]): boolean {
  const address = readAddress(text);
  return address !== undefined && ranges.map(rangeOf).some((range) => holds(range, address));
}

interface Range extends Address {
  readonly prefix: number;
}

function rangeOf(text: string): Range {
  const [base = '', prefix] = text.split('/');
  const address = readAddress(base);
  const length = Number(prefix ?? address?.bits);
  if (!address || !(length <= address.bits)) throw new Error(`${text} is no range`);
  return { ...address, prefix: length };
}

function holds({ bits, value, prefix }: Range, address: Address): boolean {
  const rest = BigInt(bits - prefix);
  return bits === address.bits && value >> rest === address.value >> rest;
}

function readAddress(text: string): Address | undefined {
  const value = text.includes(':') ? readV6(text) : readV4(text);
  return value === undefined ? undefined : { bits: text.includes(':') ? 128 : 32, value };
}

/** Four decimal numbers, as they stand in a URL that was read; no other way to write them. */
function readV4(text: string): bigint | undefined {
  const octets = text.split('.');
  const isOctet = (octet: string) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256;
  if (octets.length !== 4 || !octets.every(isOctet)) return undefined;
  return octets.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function readV6(text: string): bigint | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const before = groupsOf(head, tail === undefined);
  const after = groupsOf(tail ?? '', true);
  if (!before || !after) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array.from({ length: missing }, () => 0n), ...after];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** `isEnd`: an IPv4 address may stand for the last two. */
function groupsOf(text: string, isEnd: boolean): bigint[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const last = isEnd && parts.at(-1)?.includes('.') ? readV4(parts.pop() ?? '') : [];
  if (last === undefined || !parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  const groups = parts.map((part) => BigInt(`0x${part}`));
  return typeof last === 'bigint' ? [...groups, last >> 16n, last & 0xffffn] : groups;
}
