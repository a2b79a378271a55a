/** Ports of the host that nobody has at the moment. Somebody may take one before it is used: the start then says so. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** All different, on the loopback address. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer((socket) => socket.destroy()));
  try {
    return await Promise.all(
      servers.map(async (server) => {
        server.listen({ host: '127.0.0.1', port: 0, exclusive: true });
        await once(server, 'listening');
        return (server.address() as AddressInfo).port;
      }),
    );
  } finally {
    await Promise.all(
      servers.map(async (server) => {
        if (!server.listening) return;
        server.close();
        await once(server, 'close');
      }),
    );
  }
}
