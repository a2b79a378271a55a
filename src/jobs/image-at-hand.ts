/** An image of a plan, as it is to be run now that the engine has it. */
import type { ImageFacts } from '../policy/container-request.ts';
import { payloadAtHand } from './payload/obtain-payload.ts';
import type { RunningJob } from './running-job.ts';

/** `reference`: as the plan pins it, or its id where this host has built or imported it. */
export function imageAtHand({ plan, images }: RunningJob, id: string): { reference: string; facts: ImageFacts } {
  const source = plan.images.find((image) => image.id === id)?.source;
  const facts = images.get(id);
  if (!source || !facts) throw new Error(`the image ${id} is not there`);
  if (source.kind === 'payload') return { reference: payloadAtHand({ source }, facts), facts };
  return { reference: source.kind === 'registry' ? source.reference : facts.id, facts };
}
