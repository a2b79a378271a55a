/** Data that an op asks for, as inputs of the plan. */
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobStep } from '../../contract/job-plan.ts';
import type { JobSecret } from '../planned-job.ts';
import { splitAddress } from './address.ts';
import type { RunOp } from './definition.ts';
import { type Resource, resourcesOf, targetOf } from './resources.ts';
import { type Names, textOf } from './values.ts';
import type { VolumeNames } from './volume-names.ts';

const dayInSeconds = 86_400;
const usualRegion = 'us-east-1';

interface Source {
  readonly source: JobInput['source'];
  readonly secret: Readonly<Record<string, string>> | undefined;
}

export function inputsOf(
  { args }: RunOp,
  { id, names, volumes }: { readonly id: string; readonly names: Names; readonly volumes: VolumeNames },
): {
  readonly inputs: readonly JobInput[];
  readonly mounts: JobStep['mounts'];
  readonly secrets: readonly JobSecret[];
} {
  const inputs: JobInput[] = [];
  const secrets: JobSecret[] = [];
  const mounts = new Map<string, JobStep['mounts'][number]>();
  for (const { resource } of resourcesOf(args)) {
    const target = targetOf(resource);
    const volume = volumes.own(`input-${id}-${[...mounts.keys(), target].indexOf(target) + 1}`);
    const mayWrite = resource.type === 'S3' && resource.allowWrite === true;
    const before = mounts.get(target);
    mounts.set(target, { volume, path: target, read_only: !mayWrite && (before?.read_only ?? true) });
    for (const { source, secret } of sourcesOf(resource, names)) {
      const input = `${id}-${inputs.length + 1}`;
      inputs.push({ id: input, source, volume, required: true, cache_seconds: dayInSeconds });
      if (secret) secrets.push({ for: 'input', id: input, value: secret });
    }
  }
  return { inputs, mounts: [...mounts.values()], secrets };
}

function sourcesOf(resource: Resource, names: Names): readonly Source[] {
  const texts = (list: readonly string[] = []) => list.map((text) => textOf(text, names));
  if (resource.type === 'HF') {
    const { repo, revision = 'main', files, accessToken } = resource;
    return [
      {
        source: {
          ...{ kind: 'huggingface', repo: textOf(repo, names), revision: textOf(revision, names) },
          files: texts(files),
        },
        secret: accessToken === undefined ? undefined : { access_token: accessToken },
      },
    ];
  }
  if (resource.type === 'Ollama') {
    return [{ source: { kind: 'ollama', model: textOf(resource.model, names) }, secret: undefined }];
  }
  const { url, bucket, buckets, files, IAM } = resource;
  const all = buckets ?? [{ url: url ?? bucket ?? '', files }];
  const key = IAM && { access_key_id: IAM.ACCESS_KEY_ID, secret_access_key: IAM.SECRET_ACCESS_KEY };
  return all.map((each) => {
    const { place, query } = splitAddress(textOf(each.url, names));
    return {
      source: {
        ...{ kind: 's3', url: place, region: textOf(IAM?.REGION ?? usualRegion, names) },
        files: texts(each.files),
      },
      secret: key ?? (query === undefined ? undefined : { query }),
    };
  });
}
