/** Which IPv4 ranges this host already reaches by a route of its own: a workload network there would hide them. */
import { readFile } from 'node:fs/promises';

/** Ranges as `a.b.c.d/n`, without the default route. */
export async function routedRanges(): Promise<string[]> {
  return parseRoutes(await readFile('/proc/net/route', 'utf8'));
}

/** Reads the kernel's table: tab-separated, addresses as little-endian hex, a header line first. */
export function parseRoutes(table: string): string[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination, , , , , , mask] = line.split('\t');
      if (!destination || !mask || mask === '00000000') return [];
      return [`${addressOf(destination)}/${prefixOf(mask)}`];
    });
}

function addressOf(littleEndianHex: string): string {
  return [...Buffer.from(littleEndianHex, 'hex')].reverse().join('.');
}

function prefixOf(mask: string): number {
  return Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length;
}
