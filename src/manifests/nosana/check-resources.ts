/** Data that ops ask for. */
import type { PathError } from '../../contract/validate.ts';
import type { RunArgs } from './definition.ts';
import { isAbsolute } from './paths.ts';
import { type Resource, resourcesOf } from './resources.ts';

export function checkResources(args: RunArgs, path: string): PathError[] {
  return resourcesOf(args).flatMap(({ resource, index }) => checkResource(resource, `${path}/${index}`));
}

function checkResource(resource: Resource, path: string): PathError[] {
  const { target } = resource;
  const place =
    target === undefined || isAbsolute(target)
      ? []
      : [{ path: `${path}/target`, code: 'not_absolute', message: 'must be an absolute path' }];
  if (resource.type === 'HF') {
    return [
      ...place,
      ...(/^[\w.-]+\/[\w.-]+$/.test(resource.repo) || resource.repo.includes('%%')
        ? []
        : [{ path: `${path}/repo`, code: 'malformed_name', message: 'must be `owner/name`' }]),
    ];
  }
  return resource.type === 'S3' ? [...place, ...checkS3(resource, path)] : place;
}

function checkS3(resource: Extract<Resource, { type: 'S3' }>, path: string): PathError[] {
  const ways = (['url', 'bucket', 'buckets'] as const).filter((key) => resource[key] !== undefined);
  if (ways.length !== 1) {
    const message = ways.length === 0 ? 'is missing: one of url, bucket and buckets' : 'says again where the data is';
    return [{ path: `${path}/${ways[1] ?? 'url'}`, code: ways.length === 0 ? 'required' : 'contradiction', message }];
  }
  const urls: [string, string][] = (resource.buckets ?? []).map(({ url }, index) => [`buckets/${index}/url`, url]);
  if (resource.url !== undefined) urls.push(['url', resource.url]);
  if (resource.bucket !== undefined) urls.push(['bucket', resource.bucket]);
  return urls
    .filter(([, url]) => !url.startsWith('%%') && !isAddress(url))
    .map(([key]) => ({
      path: `${path}/${key}`,
      code: 'malformed_url',
      message: 'must be an https address without a password',
    }));
}

/** Plain http is the host's to allow, for a store within its own walls. */
function isAddress(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
