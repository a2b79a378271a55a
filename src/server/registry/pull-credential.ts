/**
 * The credential for one pull: for a node that holds a task with registry images, for the repositories of those images, for
 * fifteen minutes, and readable by that node alone. It is made when it is asked for and kept nowhere (G-121, G-213).
 */
import { CompactEncrypt, importJWK } from 'jose';
import { Type } from 'typebox';
import { ComposeDocument } from '../../contract/compose-document.ts';
import type { RegistryCredentialAnswer } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { JobImageSource } from '../../contract/job-plan.ts';
import { ociReferences } from '../../contract/payload-manifest.ts';
import { judge, judgeKnown } from '../../contract/validate.ts';
import { RegistryImage } from '../../contract/workload-oci-launch.ts';
import { parseImageReference } from '../../policy/image-reference.ts';
import type { Node } from '../db/entities/node.ts';
import type { Task } from '../db/entities/task.ts';
import type { RegistryKey } from '../keys/registry-key.ts';
import { makeRegistryToken } from './registry-tokens.ts';

export interface PullCredentialParts {
  readonly key: RegistryKey;
  /** Registry hosts whose token service we are. */
  readonly tokenRegistries: readonly string[];
  /** User and password for other registries that ask for some. */
  readonly upstream: Readonly<Record<string, { readonly username: string; readonly password: string }>>;
}

/**
 * `credential.refused` unless the task is this node's, has not ended, and runs images from a registry: from one alone, where
 * one of them asks for a credential, as what is for one registry is nobody else's to see.
 */
export async function pullCredential(
  { key, tokenRegistries, upstream }: PullCredentialParts,
  node: Node,
  task: Task | undefined,
  now: number,
): Promise<RegistryCredentialAnswer> {
  const images = imagesOf(task?.params).map(parseImageReference);
  const hosts = [...new Set(images.map(({ host }) => host))];
  const [host] = hosts;
  if (host === undefined || task?.node_id !== node.id || task.state === 'ended') {
    throw new AgentError('credential.refused');
  }
  const asking = hosts.filter((each) => tokenRegistries.includes(each) || upstream[each] !== undefined);
  if (asking.length > 0 && hosts.length > 1) {
    throw new AgentError('credential.refused', {
      reason: `The images are from several registries: ${hosts.join(', ')}.`,
    });
  }
  if (tokenRegistries.includes(host)) {
    const repositories = [...new Set(images.map(({ repository }) => repository))];
    const access = repositories.map((repository) => ({ repository, actions: ['pull'] as const }));
    const { token, expiresAt } = await makeRegistryToken(key, `node:${node.id}`, access, now);
    return { credential: await wrapped(node, { bearer: token }), expires_at: expiresAt.toISOString() };
  }
  const login = upstream[host];
  return { credential: login ? await wrapped(node, login) : null, expires_at: null };
}

/** Those of a job that bring no account of their own. */
const OwnImages = Type.Array(Type.Object({ source: JobImageSource, credential: Type.Optional(Type.String()) }));

/** References of what the task pulls: of its image, of each service of its stack, or of each image of its job. */
function imagesOf(params: unknown): string[] {
  const own = judgeKnown(OwnImages, (params as { images?: unknown } | undefined)?.images);
  if (own.ok)
    return own.value.flatMap(({ source, credential }) => {
      if (credential !== undefined) return [];
      if (source.kind === 'payload') return source.payload.flatMap(ociReferences);
      return source.kind === 'build' ? Object.values(source.bases) : [source.reference];
    });
  const image = judge(RegistryImage, (params as { image?: unknown } | undefined)?.image);
  const document = judge(ComposeDocument, (params as { document?: unknown } | undefined)?.document);
  if (document.ok) {
    return Object.values(document.value.services).map((service) => service.image);
  }
  return image.ok ? [image.value.reference] : [];
}

async function wrapped({ wrapping_key }: Node, credential: Readonly<Record<string, string>>): Promise<string> {
  return await new CompactEncrypt(Buffer.from(JSON.stringify(credential)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(wrapping_key, 'ECDH-ES'));
}
