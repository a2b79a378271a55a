/** Holds a plan against itself and against what the operator allows, before anything is done. */
import type { BuildImage } from '../contract/job-build.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import type { PathError } from '../contract/validate.ts';
import { findingsOfPlan } from '../policy/check-job-plan.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { readAllowedImage } from '../policy/image-reference.ts';
import { type Finding, refuse } from '../policy/refusal.ts';
import { checkSandbox } from '../policy/render-container.ts';

/**
 * `task.invalid`, `task.unsupported`, `build.denied`, `mount.refused`, `policy.refused`, `image.registry_denied`, `image.not_pinned`, `sandbox.unavailable`; paths in
 * the plan.
 */
export function checkPlan(plan: JobPlan, policy: HostPolicy): void {
  refuse([
    ...findingsOfPlan(plan),
    { failure: 'task.unsupported', errors: notYet(plan) },
    ...plan.images.flatMap(({ source }, index) => {
      const path = `/images/${index}/source`;
      return source.kind === 'registry'
        ? [judgeImage(source.reference, `${path}/reference`, policy)]
        : judgeBuild(source, path, policy);
    }),
    { failure: 'sandbox.unavailable', errors: checkSandbox(plan, policy) },
  ]);
}

/** What a plan can say and no host does yet. */
function notYet({ images, inputs }: JobPlan): PathError[] {
  const message = 'is not done by this host yet';
  return [
    ...images.flatMap(({ source }, index) =>
      source.kind === 'build' && source.network !== 'none'
        ? [{ path: `/images/${index}/source/network`, code: 'unsupported', message }]
        : [],
    ),
    ...inputs.flatMap(({ source }, index) =>
      source.kind === 'output' && source.media_type === 'application/x-tar'
        ? [{ path: `/inputs/${index}/source/media_type`, code: 'unsupported', message }]
        : [],
    ),
  ];
}

function judgeBuild({ bases }: BuildImage, path: string, policy: HostPolicy): Finding[] {
  const denied = [{ path: `${path}/kind`, code: 'denied', message: 'is not allowed on this host' }];
  return [
    { failure: 'build.denied', errors: policy.builds ? [] : denied },
    ...Object.entries(bases).map(([name, reference]) =>
      judgeImage(reference, `${path}/bases/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, policy),
    ),
  ];
}

function judgeImage(reference: string, path: string, policy: HostPolicy): Finding {
  const read = readAllowedImage(reference, policy.registries);
  return read.ok
    ? { failure: 'task.invalid', errors: [] }
    : { failure: read.code, errors: [{ path, code: read.code, message: `is refused: ${read.reason}` }] };
}
