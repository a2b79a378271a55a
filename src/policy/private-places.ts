/**
 * Which addresses may be connected to: public ones, and those private ones that the operator lists. Asked of the address that a name
 * has become, each time that it is connected to.
 */
import { addressOfHost, isInRanges, isPublicAddress } from './public-address.ts';

export class PrivatePlaces {
  readonly #places: ReadonlySet<string>;
  readonly #ranges: readonly string[];
  readonly #never: readonly string[];

  /** `allow`: `host:port`, or ranges such as `10.0.0.0/8`. `never`: ranges that stay closed, whatever is listed. */
  constructor(allow: readonly string[], never: readonly string[] = []) {
    const isRange = (entry: string) => addressOfHost(entry.split('/')[0] ?? '') !== undefined;
    this.#places = new Set(allow.filter((entry) => !isRange(entry)).map((entry) => entry.toLowerCase()));
    this.#ranges = allow.filter(isRange);
    this.#never = never;
    // A range that cannot be read is told now, and not where something is connected to.
    isInRanges('0.0.0.0', [...this.#ranges, ...never]);
  }

  /** True for a place that the operator lists, by name or by the address that it is at. `host` as it stands in a URL. */
  lists(host: string, port: number, address: string): boolean {
    if (isInRanges(address, this.#never)) return false;
    return this.#places.has(`${host}:${port}`) || isInRanges(address, this.#ranges);
  }

  /** True where it may be connected to. */
  allows(host: string, port: number, address: string): boolean {
    if (isInRanges(address, this.#never)) return false;
    return isPublicAddress(address) || this.lists(host, port, address);
  }
}
