/** The program of the container: reads what it is told, listens on the network of its job, and ends when it is to. */
import { networkInterfaces } from 'node:os';
import { egressPort, readEgressVariables } from '../policy/egress-settings.ts';
import { isInRanges } from '../policy/public-address.ts';
import { startProxy } from './proxy.ts';
import { askNameServers } from './resolver.ts';

/** Resolves when it was told to end. Rejects where it cannot begin, as in a container that is not in the network of its job. */
export async function runEgress(): Promise<void> {
  const { egress, allow, never, listen_in } = readEgressVariables(process.env);
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const host = own.map(({ address }) => address).find((address) => isInRanges(address, [listen_in]));
  if (host === undefined) throw new Error(`This container has no address in ${listen_in}.`);
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  const closed = [...never, ...own.map(({ address }) => address).filter((address) => !address.includes('%'))];
  const proxy = await startProxy({
    egress,
    allow,
    never: closed,
    host,
    port: egressPort,
    resolve: askNameServers(),
    write,
  });
  write(JSON.stringify({ time: new Date().toISOString(), listening: `${host}:${proxy.port}` }));
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  await promise;
  await proxy.close();
}
