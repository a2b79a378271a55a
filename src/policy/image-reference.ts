/**
 * Image references: `host[:port]/repository@sha256:<64 lower-case hex digits>` and nothing else.
 *
 * The engine reads references loosely: it fills in a registry, takes a first segment without a dot for a repository,
 * and lets a tag stand beside a digest. Whatever it could read in a second way is refused here, so that the registry
 * that was allowed is the registry that is asked.
 */
import { AgentError } from '../contract/failures.ts';
import type { AllowedRegistry } from './host-policy.ts';

export interface ImageRef {
  /** Registry host with its port where one was given, lower case. */
  readonly host: string;
  /** Path of the repository in the registry, without a leading slash. */
  readonly repository: string;
  /** `sha256:<64 hex>`. */
  readonly digest: string;
}

type RefusalCode = 'image.not_pinned' | 'image.registry_denied';
export type ReadImage =
  | { readonly ok: true; readonly ref: ImageRef }
  /** `reason` is a clause without a full stop: `it has no digest`. */
  | { readonly ok: false; readonly code: RefusalCode; readonly reason: string };

/** The engine itself refuses a longer name. */
const maxNameLength = 255;
const digestPattern = /^sha256:[0-9a-f]{64}$/;
const hostLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const portPattern = /^[1-9][0-9]{0,4}$/;
const repositorySegment = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;

/** Returns the parts; `image.not_pinned` for whatever is wrong with tag or digest, else `image.registry_denied`. */
export function parseImageReference(text: string): ImageRef {
  return orThrow(readImageReference(text), text);
}

/** Returns the parts of a reference that lies in an allowed repository; `image.registry_denied` where it does not. */
export function assertAllowedImage(text: string, registries: readonly AllowedRegistry[]): ImageRef {
  return orThrow(readAllowedImage(text, registries), text);
}

/** The same as `assertAllowedImage`, for those who collect errors instead of throwing the first. */
export function readAllowedImage(text: string, registries: readonly AllowedRegistry[]): ReadImage {
  const read = readImageReference(text);
  if (!read.ok || registries.some((registry) => covers(registry, read.ref))) {
    return read;
  }
  const { host, repository } = read.ref;
  return denied(
    registries.some((registry) => registry.host === host)
      ? `repository ${repository} of ${host} is under none of the allowed prefixes`
      : `registry ${host} is not allowed on this host`,
  );
}

/** True if `repoDigest`, as the engine lists it for an image, is this very reference. */
export function isRepoDigestOf(repoDigest: string, { host, repository, digest }: ImageRef): boolean {
  if (repoDigest === `${host}/${repository}@${digest}`) {
    return true;
  }
  // The engine shortens names of its default registry: docker.io/library/x is listed as x, docker.io/user/x as user/x.
  const short = repository.replace(/^library\/(?=[^/]+$)/, '');
  return host === 'docker.io' && repoDigest === `${short}@${digest}`;
}

/** The parts, of whichever registry. */
export function readImageReference(text: string): ReadImage {
  const [name = '', digest, ...more] = text.split('@');
  if (digest === undefined) {
    return notPinned('it has no digest');
  }
  if (more.length > 0) {
    return digest.startsWith('sha256:')
      ? notPinned('it has more than one digest')
      : denied('user information before the host is not accepted');
  }
  if (!digestPattern.test(digest)) {
    return notPinned(describeBadDigest(digest));
  }
  return readName(name, digest);
}

function readName(name: string, digest: string): ReadImage {
  const slash = name.indexOf('/');
  if (slash < 1) {
    return denied('the registry host is missing; no default is filled in');
  }
  const host = name.slice(0, slash);
  const repository = name.slice(slash + 1);
  const wrong = describeBadHost(host) ?? describeBadRepository(host, repository);
  if (wrong !== undefined) {
    return denied(wrong);
  }
  if (repository.includes(':')) {
    return notPinned('a tag beside the digest is not accepted');
  }
  return name.length <= maxNameLength
    ? { ok: true, ref: { host, repository, digest } }
    : denied(`host and repository are longer than ${maxNameLength} characters`);
}

function describeBadHost(host: string): string | undefined {
  const [domain = '', port, ...more] = host.split(':');
  const labels = domain.split('.');
  if (more.length > 0 || domain.length > 253 || !labels.every((label) => hostLabel.test(label))) {
    return 'the registry host is not a plain lower-case ASCII host name';
  }
  if (labels.some((label) => label.startsWith('xn--'))) {
    return 'an internationalised registry host is not accepted';
  }
  if (port !== undefined && (!portPattern.test(port) || Number(port) > 65535)) {
    return 'the registry port is not a number from 1 to 65535 without leading zeros';
  }
  if (labels.length === 1 && port === undefined && domain !== 'localhost') {
    return 'the first segment is not a registry host: the engine would look for it in its default registry';
  }
  return undefined;
}

function describeBadRepository(host: string, repository: string): string | undefined {
  // A tag is reported as such by the caller; what comes before it must be a repository all the same.
  const [path = ''] = repository.split(':');
  const segments = path.split('/');
  if (!segments.every((segment) => repositorySegment.test(segment))) {
    return 'the repository is not made of lower-case letters, digits and single `.`, `_`, `__` or `-` between them';
  }
  if (host === 'index.docker.io') {
    return 'the engine renames this registry; write docker.io';
  }
  if (host === 'docker.io' && segments.length === 1) {
    return `the engine would read this as docker.io/library/${path}; write that`;
  }
  return undefined;
}

function describeBadDigest(digest: string): string {
  const [, algorithm = '', value = ''] = /^([^:]*):(.*)$/s.exec(digest) ?? [];
  if (algorithm !== 'sha256') {
    return 'only a sha256 digest is accepted';
  }
  if (value.length !== 64) {
    return `the digest has ${value.length} characters instead of 64 hex digits`;
  }
  return 'the digest is not made of lower-case hex digits';
}

/** Prefixes match at whole segments: `curated` covers `curated/x`, never `curated-evil/x`. */
function covers({ host, prefixes }: AllowedRegistry, ref: ImageRef): boolean {
  const segments = ref.repository.split('/');
  return (
    host === ref.host &&
    prefixes.some((prefix) =>
      prefix
        .split('/')
        .filter((segment) => segment !== '')
        .every((segment, index) => segments[index] === segment),
    )
  );
}

function orThrow(read: ReadImage, text: string): ImageRef {
  if (read.ok) {
    return read.ref;
  }
  throw new AgentError(read.code, { reason: sentence(read.reason), ...showable(text) });
}

function sentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

/** What stands before an `@` that does not begin a digest may be a password: such a text is not repeated. */
function showable(text: string): { reference?: string } {
  return /^[^@]*(@[a-z0-9]+:[0-9a-fA-F]*)?$/.test(text) ? { reference: text.slice(0, 512) } : {};
}

function notPinned(reason: string): ReadImage {
  return { ok: false, code: 'image.not_pinned', reason };
}

function denied(reason: string): ReadImage {
  return { ok: false, code: 'image.registry_denied', reason };
}
