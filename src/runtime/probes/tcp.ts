/**
 * TCP probe: connects to the loopback address and sends nothing.
 *
 * A connection alone proves nothing: the engine's proxy for published ports accepts at once and only then tries the
 * container, closing again when nobody listens there: within a few milliseconds on a quiet host, seen beyond 150 on one
 * that is overloaded. So the connection must either bring a first byte or outlive a while.
 */
import { connect } from 'node:net';
import { failedProbe, type Probe, type ProbeResult } from './probe.ts';

const settleMs = 500;

export function tcpProbe(port: number): Probe {
  return async (signal) => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
    let settle: NodeJS.Timeout | undefined;
    const socket = connect({ host: '127.0.0.1', port, signal });
    socket.once('connect', () => {
      const stands = () => resolve({ ready: true, answer: 'connected' });
      // A turn of the loop later: an end that came while this process was busy is seen first.
      settle = setTimeout(() => setImmediate(stands), settleMs);
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
