/** Holds a plan against itself and against what the operator allows, before anything is done. */
import type { BuildImage } from '../contract/job-build.ts';
import type { JobPlan, PayloadImage } from '../contract/job-plan.ts';
import { ociReferences } from '../contract/payload-manifest.ts';
import type { PathError } from '../contract/validate.ts';
import { findingsOfPlan } from '../policy/check-job-plan.ts';
import { choosePayload, whyNoPayload } from '../policy/choose-payload.ts';
import { buildLimits, type HostPolicy } from '../policy/host-policy.ts';
import { readAllowedImage } from '../policy/image-reference.ts';
import { checkPayload } from '../policy/promises/payloads.ts';
import { type Finding, refuse } from '../policy/refusal.ts';
import { judgeSandbox } from '../policy/render-container.ts';
import { buildLogName } from './build-log.ts';

/**
 * `task.invalid`, `build.denied`, `payload.denied`, `payload.other_platform`, `mount.refused`, `policy.refused`, `image.registry_denied`, `image.not_pinned`, `sandbox.unavailable`,
 * `sandbox.no_cards`; paths in the plan.
 */
export function checkPlan(plan: JobPlan, policy: HostPolicy): void {
  refuse([
    ...findingsOfPlan(plan),
    ...plan.images.flatMap(({ source }, index) => {
      const path = `/images/${index}/source`;
      if (source.kind === 'registry') return [judgeImage(source.reference, `${path}/reference`, policy)];
      return source.kind === 'build' ? judgeBuild(source, path, plan, policy) : judgePayload(source, path, policy);
    }),
    { failure: 'task.invalid', errors: checkLogs(plan) },
    ...judgeSandbox(plan, policy),
  ]);
}

/** What a part says and what a build says are kept by their names. */
function checkLogs(plan: JobPlan): PathError[] {
  const { images, services, checks, init, steps } = plan;
  const taken = new Set(images.flatMap(({ id, source }) => (source.kind === 'build' ? [buildLogName(plan, id)] : [])));
  return Object.entries({ services, checks, init, steps }).flatMap(([list, parts]) =>
    parts.flatMap(({ id }, index) =>
      taken.has(id) ? [{ path: `/${list}/${index}/id`, code: 'name', message: 'is that of what a build says' }] : [],
    ),
  );
}

function judgeBuild({ bases, network }: BuildImage, path: string, plan: JobPlan, policy: HostPolicy): Finding[] {
  const { builds } = policy;
  const denied = (key: string) => [{ path: `${path}/${key}`, code: 'denied', message: 'is not allowed on this host' }];
  const isOnline = network === 'bridge';
  const alone = [{ path: `${path}/network`, code: 'network', message: 'is that of the job, which has none' }];
  return [
    { failure: 'build.denied', errors: builds ? [] : denied('kind') },
    {
      failure: 'build.denied',
      errors: builds && isOnline && buildLimits(builds).network === 'none' ? denied('network') : [],
    },
    { failure: 'task.invalid', errors: isOnline && plan.network === 'none' ? alone : [] },
    ...Object.entries(bases).map(([name, reference]) =>
      judgeImage(reference, `${path}/bases/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, policy),
    ),
  ];
}

function judgePayload({ payload }: PayloadImage, path: string, policy: HostPolicy): Finding[] {
  const errors = payload.flatMap((each, index) =>
    checkPayload(each).map((error) => ({ ...error, path: `${path}/payload/${index}${error.path}` })),
  );
  if (errors.length > 0) return [{ failure: 'task.invalid', errors }];
  const chosen = choosePayload(payload, process.arch);
  if (!chosen) {
    const message = whyNoPayload(payload, process.arch);
    return [{ failure: 'payload.other_platform', errors: [{ path: `${path}/payload`, code: 'platform', message }] }];
  }
  const place = `${path}/payload/${payload.indexOf(chosen)}`;
  const findings = ociReferences(chosen).map((reference, at) => judgeImage(reference, `${place}/urls/${at}`, policy));
  // One that may be pulled is enough.
  if (findings.length > 0) return findings.some((finding) => finding.errors.length === 0) ? [] : findings;
  const denied = { path: place, code: 'denied', message: 'is not downloaded by this host' };
  return [{ failure: 'payload.denied', errors: policy.payloads ? [] : [denied] }];
}

function judgeImage(reference: string, path: string, policy: HostPolicy): Finding {
  const read = readAllowedImage(reference, policy.registries);
  return read.ok
    ? { failure: 'task.invalid', errors: [] }
    : { failure: read.code, errors: [{ path, code: read.code, message: `is refused: ${read.reason}` }] };
}
