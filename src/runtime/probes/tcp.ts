/**
 * TCP probe: connects to the loopback address and sends nothing.
 *
 * A connection alone proves nothing: the engine's proxy for published ports accepts at once and only then tries the
 * container, closing again (within a few milliseconds, seen up to 17) when nobody listens there. So the connection must
 * either bring a first byte or outlive a short while.
 */
import { connect } from 'node:net';
import { failedProbe, type Probe, type ProbeResult } from './probe.ts';

const settleMs = 150;

export function tcpProbe(port: number): Probe {
  return async (signal) => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
    let settle: NodeJS.Timeout | undefined;
    const socket = connect({ host: '127.0.0.1', port, signal });
    socket.once('connect', () => {
      settle = setTimeout(() => resolve({ ready: true, answer: 'connected' }), settleMs);
    });
    socket.once('data', () => resolve({ ready: true, answer: 'answered' }));
    socket.once('end', () => resolve({ ready: false, answer: 'closed at once' }));
    socket.on('error', reject);
    socket.once('close', () => resolve({ ready: false, answer: 'closed at once' }));
    try {
      return await promise;
    } catch (error) {
      return failedProbe(error, signal);
    } finally {
      clearTimeout(settle);
      socket.destroy();
    }
  };
}
