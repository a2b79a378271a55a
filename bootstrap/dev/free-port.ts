/**
 * TCP ports of one address of this host that nobody has and nobody gets.
 *
 * They are below those that the kernel hands out by itself, to every connection and to whoever asks for any port; and two
 * processes that look for one at the same time find different ones.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { claim } from './claims.ts';

/** The wished port if it can be had, else another one. It is nobody else's until this process ends. */
export async function freePort(wished?: number, host = '127.0.0.1'): Promise<number> {
  if (wished !== undefined && (await isOurs(wished, host))) return wished;
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isOurs(port, host)) return port;
  }
  throw new Error(`No free port between 20000 and 32000 on ${host}.`);
}

async function isOurs(port: number, host: string): Promise<boolean> {
  return (await claim(`port/${port}`)) && (await canBeBound(port, host));
}

async function canBeBound(port: number, host: string): Promise<boolean> {
  const server = createServer().listen({ host, port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}
