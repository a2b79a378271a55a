/**
 * Holds the plan that a definition becomes against what its host will ask: what nobody has told of the definition itself is
 * told here, so that none is valid that a host refuses for its shape.
 */
import type { PathError } from '../../contract/validate.ts';
import { errorsOfPlan } from '../../policy/check-job-plan.ts';
import { sketchWish } from '../sketch-wish.ts';
import type { JobDefinition } from './definition.ts';
import { planOf } from './to-plan.ts';

const digest = `@sha256:${'0'.repeat(64)}`;

/** Only for a definition without contradictions. */
export function checkAsPlan(definition: JobDefinition): readonly PathError[] {
  const { plan } = planOf(definition, sketchWish('nosana'));
  const images = plan.images.map(({ id, source }) => ({
    id,
    source: { ...source, reference: source.reference.replace(/(:[\w.-]+)?(@.*)?$/, digest) },
  }));
  const runs = definition.ops.flatMap(({ type }, index) => (type === 'container/run' ? [index] : []));
  return errorsOfPlan({ ...plan, images }).map((error) => {
    const [, step, rest] = /^\/steps\/(\d+)(.*)$/.exec(error.path) ?? [];
    const op = runs[Number(step)];
    const message = `becomes a plan that no host accepts: ${rest || error.path} ${error.message}`;
    return { path: op === undefined ? '/ops' : `/ops/${op}`, code: error.code, message };
  });
}
