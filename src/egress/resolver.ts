/** Asks the name servers of the container, and nothing else: no file of names, no other way to write an address. */
import { Resolver } from 'node:dns/promises';
import type { Resolve } from './guard.ts';

const patience = { timeout: 2000, tries: 3 };

/** Addresses of IPv4, and those of IPv6 only where there are none. */
export function askNameServers(): Resolve {
  const resolver = new Resolver(patience);
  return async (name) => {
    try {
      return await resolver.resolve4(name);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENODATA') throw error;
      return await resolver.resolve6(name);
    }
  };
}
