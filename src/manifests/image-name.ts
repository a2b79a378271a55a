/** Names of images as people write them, with what they leave out filled in the way every engine does. */

export interface ImageName {
  /** Host of the registry, with its port where one was given. */
  readonly host: string;
  readonly repository: string;
  /** `latest` where neither tag nor digest was given; undefined beside a digest. */
  readonly tag: string | undefined;
  /** `sha256:…` where the name is pinned already. */
  readonly digest: string | undefined;
}

const hub = 'docker.io';
const repositoryPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const hostPattern = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;

/** Undefined for what is no name of an image. */
export function readImageName(text: string): ImageName | undefined {
  const [name = '', digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest))) return undefined;
  const [first = '', ...rest] = name.split('/');
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const host = hasHost ? registryHost(first) : hub;
  const path = hasHost ? rest.join('/') : name;
  const [bare = '', tag, ...others] = path.split(':');
  const repository = host === hub && !bare.includes('/') ? `library/${bare}` : bare;
  const isName = hostPattern.test(host) && repositoryPattern.test(repository) && others.length === 0;
  if (!isName || (tag !== undefined && !tagPattern.test(tag))) return undefined;
  return { host, repository, digest, tag: digest === undefined ? (tag ?? 'latest') : undefined };
}

/** Host of a registry from its address, `https://index.docker.io/v1/` or `ghcr.io`. All names of the Docker Hub are one. */
export function registryHost(address: string): string {
  const host =
    address
      .replace(/^https?:\/\//, '')
      .split('/')[0]
      ?.toLowerCase() ?? '';
  return /^(index\.|registry-1\.|hub\.|registry\.)?docker\.(io|com)$/.test(host) ? hub : host;
}

/** Whole, as a registry and we understand it: `docker.io/library/ubuntu:24.04`, or with a digest. */
export function wholeName({ host, repository, tag, digest }: ImageName): string {
  return `${host}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}
