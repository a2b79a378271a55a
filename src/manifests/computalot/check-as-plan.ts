/**
 * Holds the plan that a manifest becomes against what its host will ask, so that none is pushed of which every job is refused for
 * its shape.
 */
import type { PathError } from '../../contract/validate.ts';
import { errorsOfPlan } from '../../policy/check-job-plan.ts';
import { sketchWish } from '../sketch-wish.ts';
import type { ProjectManifest } from './manifest.ts';
import { planOf } from './to-plan.ts';

/** Only for a manifest without contradictions. */
export function checkAsPlan(manifest: ProjectManifest): readonly PathError[] {
  const { executables = [] } = manifest.validation ?? {};
  const places: Readonly<Record<string, (index: number) => string>> = {
    preflight: (index) =>
      index < executables.length
        ? `/validation/executables/${index}`
        : `/validation/files/${index - executables.length}`,
    services: (index) => `/runtime/services/${index}`,
    checks: (index) => `/validation/commands/${index}`,
    steps: () => '',
    caches: (index) => `/cache_mounts/${index}`,
  };
  return errorsOfPlan(planOf(manifest, sketchWish('computalot')).plan).map(({ path, code, message }) => {
    const [, list = '', index, rest = ''] = /^\/(\w+)\/(\d+)(.*)$/.exec(path) ?? [];
    const place = places[list]?.(Number(index));
    const part = place ? rest : path;
    return { path: place ?? '', code, message: `becomes a plan that no host accepts: ${part} ${message}` };
  });
}
