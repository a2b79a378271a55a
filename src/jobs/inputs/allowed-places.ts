/**
 * Where inputs may come from. A job names places itself, so it could name those of the host's own network, the address of a
 * cloud's metadata among them: judged is the address that is connected to, not the name.
 */
import { BlockList, isIP } from 'node:net';
import { isPublicAddress } from '../../policy/public-address.ts';

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
    return isPublicAddress(address)
      ? undefined
      : 'It is at an address that is not public, which this host does not list.';
  }
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
