/**
 * Tells before a launch whether a host port can be had.
 *
 * Best effort by its nature: the port may be taken between this look and the start, which then fails with the same
 * code. Looking first gives a clear answer before anything was pulled or created.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { AgentError } from '../contract/failures.ts';

/**
 * `port.conflict` if somebody listens on 127.0.0.1 at this port, also by listening on every address. Takes the port for
 * a moment, without accepting anything. `path`: where the port was asked for.
 */
export async function assertPortFree(port: number, path = ''): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen({ host: '127.0.0.1', port, exclusive: true, backlog: 1 });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' || code === 'EACCES') {
      const reason = code === 'EACCES' ? { reason: 'This process may not use it.' } : {};
      const errors = [{ path, code: 'taken', message: `is ${port}, which is taken` }];
      throw new AgentError('port.conflict', { port, errors, ...reason }, { cause: error });
    }
    throw error;
  }
  server.close();
  await once(server, 'close');
}
