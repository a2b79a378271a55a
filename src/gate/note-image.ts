/** Writes down what has come of a build or an import, so that it runs for its project. */
import { AgentError } from '../contract/failures.ts';
import type { BuiltImage } from './built-images.ts';
import type { GateContext } from './context.ts';
import { lookAtImage } from './images.ts';

type Made = Pick<BuiltImage, 'project' | 'key' | 'revision' | 'payload'> & { readonly bases: readonly string[] };

export async function noteImage(image: string, made: Made, gate: GateContext, signal: AbortSignal): Promise<void> {
  const object = await lookAtImage(image, gate, signal);
  if (!object)
    throw new AgentError('engine.failed', { reason: 'The engine says that it has made it, and has it not.' });
  const version = await gate.engine.ask({ method: 'GET', path: '/version', signal });
  const engine = String((JSON.parse(version.body.toString()) as { Version?: unknown }).Version ?? '').slice(0, 128);
  gate.builtImages.note({
    ...{ ...made, bases: [...made.bases], image: object.Id, engine, bytes: object.Size ?? 0 },
    built_at: new Date().toISOString(),
  });
  gate.log.info({ image: object.Id }, made.payload === undefined ? 'image built' : 'image imported');
}
