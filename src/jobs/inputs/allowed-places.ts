/**
 * Where inputs may come from. A job names places itself, so it could name those of the host's own network, the address of a
 * cloud's metadata among them: judged is the address that is connected to, not the name.
 */
import { BlockList, isIP } from 'node:net';

/** IPv4 ranges that are no public addresses (IANA's registry of special purposes, multicast and what is reserved). */
const specialV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
];
/** Of IPv6 only this is handed out, and of it not what follows: tunnels that lead to IPv4, and examples. */
const globalV6 = ['2000::/3'];
const specialV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const special = listOf([...specialV4, ...specialV6]);
const handedOut = listOf(globalV6);

export class AllowedPlaces {
  readonly #places: ReadonlySet<string>;
  readonly #ranges: BlockList;

  /** `host:port`, or ranges such as `10.0.0.0/8`: private places that the operator allows, over plain http too. */
  constructor(allow: readonly string[]) {
    const isRange = (entry: string) => isIP(entry.split('/')[0] ?? '') !== 0;
    this.#places = new Set(allow.filter((entry) => !isRange(entry)).map((entry) => entry.toLowerCase()));
    this.#ranges = listOf(allow.filter(isRange));
  }

  /** Why nothing is fetched from there; undefined where it may be. */
  judge(url: URL, address: string): string | undefined {
    const port = url.port || (url.protocol === 'http:' ? '80' : '443');
    if (this.#places.has(`${url.hostname}:${port}`) || contains(this.#ranges, address)) return;
    if (url.protocol !== 'https:') return 'Only https is spoken with places that this host does not list.';
    return isPublic(address) ? undefined : 'It is at an address that is not public, which this host does not list.';
  }
}

function isPublic(address: string): boolean {
  return !contains(special, address) && (isIP(address) === 4 || contains(handedOut, address));
}

function contains(list: BlockList, address: string): boolean {
  const family = isIP(address);
  // What has a zone is of this link only.
  return family !== 0 && !address.includes('%') && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return list;
}
