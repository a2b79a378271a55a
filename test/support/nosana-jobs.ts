/** Nosana job definitions as tests write them, and the plans that a control plane would make of them for a host. */
import { createHash, randomBytes } from 'node:crypto';
import { CompactEncrypt, importJWK } from 'jose';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { JobDefinition } from '../../src/manifests/nosana/definition.ts';
import { readDefinition } from '../../src/manifests/nosana/read-definition.ts';
import { planOf } from '../../src/manifests/nosana/to-plan.ts';
import type { PlanWish } from '../../src/manifests/planned-job.ts';
import type { TestHost } from './test-host.ts';

type Op = JobDefinition['ops'][number];
type RunOp = Extract<Op, { type: 'container/run' }>;
type Over = RunOp['args'] & Pick<RunOp, 'results' | 'execution'>;

/** Each line that an op prints is an entry of its result `said`. */
export function op(id: string, cmd: RunOp['args']['cmd'], { results, execution, ...args }: Over = {}): RunOp {
  return {
    ...{ type: 'container/run', id, args: { image: 'tiny', ...(cmd !== undefined && { cmd }), ...args } },
    results: { said: '(.+)', ...results },
    ...(execution && { execution }),
  };
}

export function volumeOp(name: string): Op {
  return { type: 'container/create-volume', id: `make-${name}`, args: { name } };
}

export function definition(ops: readonly Op[], global?: JobDefinition['global']): JobDefinition {
  return { version: '0.1', type: 'container', ops: [...ops], ...(global && { global }) };
}

/** What an op is given to, so that ops that want to see each other can: a volume at `/v`. */
export const shared = { volumes: [{ name: 'shared', dest: '/v' }] } satisfies RunOp['args'];

/** A piece of shell that ends when there is such a file, at the latest with the op. */
export const untilThere = (file: string) => `until [ -e ${file} ]; do sleep 0.05; done`;

/** @public What may be said of a job beside its document. */
export type Wish = Partial<PlanWish>;

/** Every fault of a document, as `path: code`. */
export function refusalsOf(document: object): string[] {
  const read = readDefinition(document);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path}: ${code}`);
}

/** The images of the ground go by their bare names in a document. */
export async function planFor(host: TestHost, document: object, { pins = {}, ...wish }: Wish = {}): Promise<JobPlan> {
  const read = readDefinition(document);
  if (!read.ok) throw new Error(`it is refused: ${JSON.stringify(read.errors)}`);
  const { plan, unresolved, secrets } = planOf(read.definition, {
    identity: {
      ...{ project_id: 'project-1', job_id: `test-${randomBytes(5).toString('hex')}` },
      ...{ allocation_id: host.policy.allocation.id, display_name: 'A test', dialect: 'nosana' },
      document_sha256: createHash('sha256').update(JSON.stringify(document)).digest('hex'),
    },
    ...{ sandbox: 'runc', resources: { gpu_count: 0, cpu_cores: 0.3, memory_gib: 0.25 } },
    ...{ on_failure: 'stop', deadline_seconds: 240, keep: false },
    pins: { ...(await groundPins(host)), ...pins },
    ...wish,
  });
  if (unresolved.length > 0) throw new Error(`no such images: ${JSON.stringify(unresolved)}`);
  for (const { for: kind, id, value } of secrets) {
    const target = (kind === 'image' ? plan.images : plan.inputs).find((each) => each.id === id);
    if (target) target.credential = await sealed(host, JSON.stringify(value));
  }
  return plan;
}

async function groundPins(host: TestHost): Promise<PlanWish['pins']> {
  const names = ['tiny', 'hostile', 'python'] as const;
  const pins = names.map(async (name) => [
    `docker.io/library/${name}:latest`,
    { reference: await host.image(name), media_type: 'application/vnd.docker.distribution.manifest.v2+json' as const },
  ]);
  return Object.fromEntries(await Promise.all(pins));
}

async function sealed({ key }: TestHost, text: string): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key.publicJwk, 'ECDH-ES'));
}
