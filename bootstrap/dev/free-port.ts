/** TCP ports of 127.0.0.1 that nobody held a moment ago. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** The wished port if nobody has it, else one that the system gives. */
export async function freePort(wished = 0): Promise<number> {
  const port = (await bindOnce(wished)) ?? (await bindOnce(0));
  if (port === undefined) throw new Error('No port of 127.0.0.1 is free.');
  return port;
}

/** Whether nobody holds this port. */
export async function isFreePort(port: number): Promise<boolean> {
  return (await bindOnce(port)) !== undefined;
}

async function bindOnce(port: number): Promise<number | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : undefined;
}
