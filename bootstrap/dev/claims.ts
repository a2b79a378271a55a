/**
 * What two processes must not both choose although nobody holds it yet: a port that a container will publish, a range of
 * addresses that a network will have.
 *
 * A claim is a socket in the kernel's abstract namespace: one process alone can have it, and it ends with that process.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Claims it until this process ends; false if somebody has claimed it, this process included. */
export async function claim(what: string): Promise<boolean> {
  const server = createServer().listen({ path: `\0gpuaas-dev/${what}`, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.unref();
  return true;
}
