/**
 * What the images of a job are at the moment of its submission: each name becomes the manifest, by digest, that hosts of this
 * fleet run. Only registries are asked that the operator accepted.
 */
import { AgentError, type FailureCode } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { readImageName, wholeName } from '../../manifests/image-name.ts';
import type { PlannedJob } from '../../manifests/planned-job.ts';
import { isImageManifest } from '../artifacts/media-types.ts';
import { pullAuthorization } from '../artifacts/pull-authorization.ts';
import type { PullAuthorization } from '../artifacts/registry-client.ts';
import { registryReader } from '../artifacts/registry-client.ts';
import { registryLogin } from '../artifacts/registry-login.ts';
import { imageFor, judgeImage } from '../artifacts/verify-artifact.ts';
import type { ServerContext } from '../context.ts';
import type { JobImage } from '../db/entities/job.ts';
import type { ReadTx } from '../db/store.ts';

export interface Resolving {
  /** Registry hosts that images may come from. */
  readonly registries: readonly string[];
  /** What the fleet runs, for example `linux/amd64`. */
  readonly platform: string;
  /** The login that the platform has at its registries, for repositories of its artifacts alone. */
  readonly ownLogin: PullAuthorization;
  readonly isOwn: (repository: string) => boolean;
}

/** As this control plane asks registries; `isOwn` depends on what was published by then. */
export function resolvingOf(context: ServerContext): Omit<Resolving, 'isOwn'> {
  const { registries, platform } = context.settings;
  return { registries, platform, ownLogin: pullAuthorization(context) };
}

/** The login of the platform is for what it has registered: a job gets nothing else of a registry by it. */
export async function ownRepositories(tx: ReadTx): Promise<Resolving['isOwn']> {
  const own = new Set((await tx.artifacts.list()).map(({ repository }) => repository));
  return (repository) => own.has(repository);
}

/** Images that are asked for at a time. */
const together = 8;

/** All of them, or everything that is wrong, by where the document names it. */
export async function resolveImages(
  { plan, secrets, imagePaths }: PlannedJob,
  resolving: Resolving,
  signal: AbortSignal,
): Promise<{ readonly images: readonly JobImage[]; readonly errors: readonly PathError[] }> {
  const images: JobImage[] = [];
  const errors: PathError[] = [];
  const open = plan.images.flatMap(({ id, source }) => (source.kind === 'registry' ? [{ id, source }] : []));
  while (open.length > 0) {
    const some = open.splice(0, together).map(async ({ id, source }) => {
      const account = secrets.find((secret) => secret.for === 'image' && secret.id === id)?.value;
      const path = imagePaths[id] ?? '';
      try {
        images.push((await resolveImage(source.reference, account, resolving, signal)).image);
      } catch (error) {
        const { code, message } =
          error instanceof AgentError ? error : new AgentError('internal', {}, { cause: error });
        errors.push({ path, code, message });
      }
    });
    await Promise.all(some);
  }
  // One name may be pulled by several accounts; it is one image all the same.
  const byName = new Map(images.map((image) => [image.name, image]));
  return { images: [...byName.values()], errors };
}

/** What one name is now, and how large, packed: `image.*` where that cannot be found out, or is nothing that runs here. */
export async function resolveImage(
  name: string,
  account: Readonly<Record<string, string>> | undefined,
  { registries, platform, ownLogin, isOwn }: Resolving,
  signal: AbortSignal,
): Promise<{ readonly image: JobImage; readonly bytes: number }> {
  const image = readImageName(name);
  if (!image) throw new AgentError('image.not_pinned', { reason: 'Its name is known only while the job runs.' });
  const { host, repository, tag, digest } = image;
  if (!registries.includes(host)) {
    throw new AgentError('image.registry_denied', { reason: `Images may come from ${registries.join(', ')}.` });
  }
  const where = `${host}/${repository}`;
  const { username, password } = account ?? {};
  const login = username !== undefined && password !== undefined ? { username, password } : undefined;
  const authorization = login === undefined && isOwn(where) ? ownLogin : registryLogin(login, signal);
  const reader = registryReader(where, authorization, signal);
  const found = await inWordsOfImages(() => reader.manifest(digest ?? tag ?? 'latest'));
  if (found === undefined) throw new AgentError('image.not_found', { reason: `${wholeName(image)} is not there.` });
  if (digest !== undefined && found.digest !== digest) throw new AgentError('image.digest_mismatch');
  const mine = await inWordsOfImages(() => imageFor(found, platform, reader));
  if (typeof mine === 'string') throw new AgentError('image.not_found', { reason: mine });
  const { mediaType: media_type } = mine;
  if (!isImageManifest(media_type)) {
    throw new AgentError('image.not_found', { reason: `The registry says it is ${media_type.slice(0, 200)}.` });
  }
  const judged = await inWordsOfImages(() => judgeImage(mine, platform, reader));
  if (typeof judged === 'string') throw new AgentError('image.not_found', { reason: judged });
  const reference = wholeName({ host, repository, tag: undefined, digest: mine.digest });
  return { image: { name: wholeName(image), reference, media_type }, bytes: judged.bytes };
}

const asImages: Partial<Record<FailureCode, FailureCode>> = {
  'artifact.unreachable': 'image.pull_failed',
  'artifact.unauthorized': 'image.unauthorized',
};

async function inWordsOfImages<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof AgentError ? asImages[error.code] : undefined;
    if (code === undefined || !(error instanceof AgentError)) throw error;
    throw new AgentError(code, error.detail, { cause: error });
  }
}
