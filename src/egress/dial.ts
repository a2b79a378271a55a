/** Connects to an address that was judged, and to no other. */
import { connect, type Socket } from 'node:net';

const mostAddresses = 3;
const connectMs = 10_000;
const keepAliveMs = 60_000;

/** Tries one after another. Rejects with the error of the last. */
export async function dial(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
  let last: unknown;
  for (const address of addresses.slice(0, mostAddresses)) {
    signal.throwIfAborted();
    try {
      return await dialOne(address, port, signal);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

async function dialOne(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });
  const giveUp = () => socket.destroy(new Error('It was given up.'));
  const late = setTimeout(() => socket.destroy(new Error(`${host}:${port} does not answer.`)), connectMs);
  signal.addEventListener('abort', giveUp, { once: true });
  socket.once('connect', () => resolve(socket));
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('The connection was closed.')));
  try {
    await promise;
    // Whoever has it now listens for himself; until then an error must not end the process.
    socket.on('error', () => undefined);
    return socket;
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', giveUp);
  }
}
