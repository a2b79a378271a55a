/** Data that ops ask for. */
import type { PathError } from '../../contract/validate.ts';
import { each, ifSure, sure } from '../sure-parts.ts';
import { asksForLater } from './address.ts';
import type { JobDefinition, RunArgs } from './definition.ts';
import { isAbsolute } from './paths.ts';
import { type Resource, resourcesOf } from './resources.ts';

export function checkResources(
  { resources = [] }: RunArgs,
  path: string,
  definition: JobDefinition,
): readonly PathError[] {
  return each(resources, (entry, index) =>
    resourcesOf({ resources: [entry] }).flatMap(({ resource }) =>
      checkResource(resource, `${path}/${index}`, definition),
    ),
  );
}

function checkResource(resource: Resource, path: string, definition: JobDefinition): PathError[] {
  const place = sure(() => {
    const { target } = resource;
    return target === undefined || isAbsolute(target)
      ? []
      : [{ path: `${path}/target`, code: 'not_absolute', message: 'must be an absolute path' }];
  });
  const source = sure(() => {
    if (resource.type === 'S3') return checkS3(resource, path, definition);
    return resource.type !== 'HF' || /^[\w.-]+\/[\w.-]+$/.test(resource.repo) || resource.repo.includes('%%')
      ? []
      : [{ path: `${path}/repo`, code: 'malformed_name', message: 'must be `owner/name`' }];
  });
  return [...place, ...source];
}

function checkS3(resource: Extract<Resource, { type: 'S3' }>, path: string, definition: JobDefinition): PathError[] {
  const ways = sure(() => {
    const [way, again] = (['url', 'bucket', 'buckets'] as const).filter((key) => resource[key] !== undefined);
    if (way === undefined) {
      return [{ path: `${path}/url`, code: 'required', message: 'is missing: one of url, bucket and buckets' }];
    }
    return again === undefined
      ? []
      : [{ path: `${path}/${again}`, code: 'contradiction', message: 'says again where the data is' }];
  });
  const urls = each(['url', 'bucket'] as const, (key) => checkAddress(resource[key], `${path}/${key}`, definition));
  const buckets = sure(() =>
    each(resource.buckets ?? [], ({ url }, index) => checkAddress(url, `${path}/buckets/${index}/url`, definition)),
  );
  return [...ways, ...buckets, ...urls];
}

function checkAddress(url: string | undefined, path: string, definition: JobDefinition): PathError[] {
  if (url === undefined) return [];
  if (!url.startsWith('%%') && !isAddress(url)) {
    return [{ path, code: 'malformed_url', message: 'must be an https address without a password' }];
  }
  const message = 'cannot hold this literal behind its `?`: that is a key, which is sealed before the job runs';
  return ifSure(() => asksForLater(url, definition)) ? [{ path, code: 'literal', message }] : [];
}

/** Plain http is the host's to allow, for a store within its own walls. */
function isAddress(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
