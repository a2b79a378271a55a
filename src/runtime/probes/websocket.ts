/**
 * WebSocket probe: connects to the loopback address, and is ready when the first message is the expected text. The client is
 * that of the runtime, loaded when the first of these is made.
 */
import type { Probe, ProbeResult } from './probe.ts';

/** Longer than any text that can be expected: what is longer is none. */
const maxMessageLength = 64 * 1024;

export function websocketProbe(port: number, expected: string): Probe {
  return async (signal) => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    socket.addEventListener('message', ({ data }) => resolve(judge(data, expected)));
    socket.addEventListener('error', () => resolve({ ready: false, answer: 'no WebSocket' }));
    socket.addEventListener('close', () => resolve({ ready: false, answer: 'closed without a message' }));
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', leave);
      socket.close();
    }
  };
}

function judge(message: unknown, expected: string): ProbeResult {
  const ready = typeof message === 'string' && message.length <= maxMessageLength && message.trim() === expected.trim();
  return { ready, answer: ready ? 'the expected message' : 'another message' };
}
