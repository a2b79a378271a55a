/** Sends calls to containers of ours by their id, whatever the client named them by. */
import type { IncomingMessage } from 'node:http';
import type { GateCall, GateContext } from './context.ts';
import { noSuchContainer, type SealedContainer } from './sealed-containers.ts';
import type { EngineCall } from './upstream.ts';

/**
 * Sends a call for the container that the client named. If the one that is remembered under the name is gone, the name
 * is looked up anew, once: nothing has happened yet.
 */
export async function onContainer(
  { params, signal }: Pick<GateCall, 'params' | 'signal'>,
  gate: GateContext,
  build: (container: SealedContainer) => EngineCall,
): Promise<{ container: SealedContainer; incoming: IncomingMessage }> {
  const ref = params['container'] ?? '';
  const container = await gate.containers.find(ref, signal);
  const incoming = await gate.engine.stream(build(container));
  if (incoming.statusCode !== 404) return { container, incoming };

  gate.containers.forgetName(container);
  const seen = await gate.containers.look(ref, signal);
  if (seen.kind === 'sealed' && seen.container.id === container.id) return { container, incoming };
  incoming.resume();
  if (seen.kind !== 'sealed') throw noSuchContainer(ref);
  return { container: seen.container, incoming: await gate.engine.stream(build(seen.container)) };
}
