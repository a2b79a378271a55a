/** Networks of an engine of a test's own: it has no firewall rules, and those of the machine's engine let no stranger's packets pass. */
import { randomInt } from 'node:crypto';
import { run } from '../../bootstrap/dev/processes.ts';

/** A pool that no other test has, so that nothing else is opened with it. */
export const ownPool = () => `10.214.${randomInt(256)}.0/24`;

/** Lets its containers reach each other, until what it gives is called. */
export async function openPool(pool: string): Promise<() => Promise<void>> {
  const change = async (how: '-I' | '-D') =>
    void (await run('iptables', ['-w', how, 'DOCKER-USER', '-s', pool, '-d', pool, '-j', 'ACCEPT']));
  await change('-I');
  return async () => await change('-D');
}
