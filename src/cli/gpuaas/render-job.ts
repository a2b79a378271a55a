/** `gpuaas manifest render` for job definitions: the plan that a submission becomes, without a control plane and without secrets. */
import { AgentError } from '../../contract/failures.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import { readImageName, wholeName } from '../../manifests/image-name.ts';
import type { AcceptedJob, JobDialect } from '../../manifests/job-dialects.ts';
import { documentHash } from '../../manifests/job-secrets.ts';
import type { BatchWish, PlannedJob } from '../../manifests/planned-job.ts';
import { sketchedShare, usualJob } from '../../manifests/usual-job.ts';

const { gpu_count, retries: _retries, ...usual } = usualJob;

export interface RenderedJob extends Pick<PlannedJob, 'plan' | 'unresolved'> {
  /** What the plan of a submission may have otherwise: `path` is where it stands in this one. */
  readonly decided_later: readonly { readonly path: string; readonly reason: string }[];
}

/** `pins` are digests, or whole references, by the name of an image as the definition has it, `batch` what is carried out under a manifest. */
export function renderJob(
  document: unknown,
  dialect: JobDialect,
  read: AcceptedJob,
  pins: Readonly<Record<string, string>>,
  batch?: BatchWish,
): RenderedJob {
  const identity = {
    ...{ project_id: 'project', job_id: 'job', allocation_id: 'allocation', display_name: 'job' },
    ...{ dialect, document_sha256: documentHash(document, read.hidden) },
  };
  const media_type = 'application/vnd.oci.image.manifest.v1+json';
  const resolved = Object.fromEntries(
    Object.entries(pins).map(([name, pin]) => {
      const image = readImageName(name);
      if (!image) throw new AgentError('command.invalid', { reason: `--pin: ${name} is no name of an image.` });
      const reference = pin.startsWith('sha256:') ? wholeName({ ...image, digest: pin }) : pin;
      return [wholeName(image), { reference, media_type }] as const;
    }),
  );
  const asked = Object.entries(read.asks ?? {}).filter(([name, amount]) => name === 'gpu_count' || amount > 0);
  const resources = { gpu_count, ...sketchedShare, ...Object.fromEntries(asked) };
  const offline = {
    ...{ ...usual, ...(read.needsRevision && { sandbox: 'gvisor' as const }), ...(batch && { batch }) },
    ...(read.usual && { sandbox: read.usual.sandbox }),
    resources: { ...resources, ...(read.usual && { gpu_count: read.usual.gpu_count }) },
  };
  const { plan, unresolved } = read.plan({ ...offline, identity, pins: resolved });
  const used = new Set(read.plan({ ...offline, identity, pins: {} }).unresolved.map(({ reference }) => reference));
  const [stray] = Object.keys(resolved).filter((name) => !used.has(name));
  if (stray !== undefined) {
    const all = [...used].join(', ') || 'no image without a digest';
    throw new AgentError('command.invalid', { reason: `--pin: the manifest has ${all}, and no ${stray}.` });
  }
  return {
    plan,
    unresolved,
    decided_later: decidedLater(
      plan,
      asked.map(([name]) => name),
    ),
  };
}

/** But for the amounts that the document says itself. */
function decidedLater({ services, checks, steps }: JobPlan, asked: readonly string[]): RenderedJob['decided_later'] {
  const reason = 'Unless --cpus and --memory say how much, a job gets a share of the host that it is given.';
  const parts = Object.entries({ services, checks, steps });
  const places = ['', ...parts.flatMap(([list, all]) => all.map((_part, index) => `/${list}/${index}`))];
  const without = Object.keys(sketchedShare).filter((name) => !asked.includes(name));
  return places.flatMap((place) => without.map((name) => ({ path: `/plan${place}/resources/${name}`, reason })));
}
