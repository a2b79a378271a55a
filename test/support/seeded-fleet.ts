/** A fleet that has been at work for a while, straight into a store: for pages that show much and need no engine. */
import { instanceStates } from '../../src/contract/instance-state.ts';
import type { Allocation } from '../../src/server/db/entities/allocation.ts';
import type { AppInstance } from '../../src/server/db/entities/app-instance.ts';
import type { Artifact } from '../../src/server/db/entities/artifact.ts';
import type { Role } from '../../src/server/db/entities/project.ts';
import type { Store, Tx } from '../../src/server/db/store.ts';
import { makeToken } from '../../src/server/http/tokens.ts';
import { failedJob, runningJob } from './console-jobs.ts';
import { sampleGpu } from './gpus.ts';
import { aNode, inventory, runtimeStatus } from './launch-samples.ts';
import { anAllocation, anArtifact, anEvent, anInstance, aProject } from './store-samples.ts';

export interface FleetSize {
  readonly nodes: number;
  readonly instances: number;
}

export interface Fleet {
  /** Tokens of an admin, and of a member and a viewer of the project that has everything. */
  readonly tokens: Readonly<Record<Role, string>>;
  readonly allocationIds: readonly string[];
  readonly nodeIds: readonly string[];
  readonly instanceIds: readonly string[];
  readonly artifactIds: readonly string[];
}

/** Nodes with an allocation each, instances spread over them in every state, and artifacts of every kind. */
export async function seedFleet(store: Store, size: FleetSize): Promise<Fleet> {
  return await store.write(async (tx) => {
    const project = aProject({ id: 'p1', name: 'research', display_name: 'Research' });
    await tx.projects.insert(project);
    const tokens = await addTokens(tx, project.id);
    const artifacts = artifactsOfEveryKind();
    for (const artifact of artifacts) await tx.artifacts.insert(artifact);
    const allocations = Array.from({ length: size.nodes }, (_, at) => allocationOf(at));
    for (const [at, allocation] of allocations.entries()) {
      await tx.allocations.insert(allocation);
      await tx.nodes.insert(nodeOf(at, allocation.id));
    }
    const instances = Array.from({ length: size.instances }, (_, at) => instanceOf(at, allocations[at % size.nodes]));
    for (const instance of instances) {
      await tx.app_instances.insert(instance);
      await tx.events.append(
        anEvent({
          ...{
            type: 'apps.instance.requested',
            project_id: project.id,
            message: `${instance.display_name} was asked for.`,
          },
          subject: { kind: 'app_instance', id: instance.id },
        }),
      );
    }
    await addJobs(tx);
    const ids = (all: readonly { readonly id: string }[]) => all.map(({ id }) => id);
    return {
      ...{ tokens, allocationIds: ids(allocations), nodeIds: allocations.map((_, at) => `node-${at}`) },
      ...{ instanceIds: ids(instances), artifactIds: ids(artifacts) },
    };
  });
}

async function addTokens(tx: Tx, projectId: string): Promise<Record<Role, string>> {
  const tokenOf = async (role: Role, project_id: string | null) => {
    const { id, secret_hash, token } = makeToken();
    await tx.api_tokens.insert({
      ...{ id, name: `${role} of the fleet`, role, project_id, secret_hash, created_by: 'init' },
      ...{ created_at: '2026-11-25T09:00:00.000Z', expires_at: null, revoked_at: null },
    });
    return token;
  };
  return {
    admin: await tokenOf('admin', null),
    operator: await tokenOf('operator', null),
    member: await tokenOf('member', projectId),
    viewer: await tokenOf('viewer', projectId),
  };
}

/** `job-0` runs, `job-1` has failed. */
async function addJobs(tx: Tx): Promise<void> {
  for (const [at, { job, news }] of [runningJob({ id: 'job-0' }), failedJob({ id: 'job-1' })].entries()) {
    await tx.jobs.insert({ ...job, attempts: job.attempts.map((each) => ({ ...each, node_id: `node-${at}` })) });
    await tx.job_news.insert(news);
    const document = { version: '0.1', type: 'container', ops: [] };
    await tx.job_documents.insert({ id: job.id, document, sealed_secrets: sealedCanary });
  }
}

/** What instances of the fleet have sealed for their node, and the control plane of its jobs. */
export const sealedCanary = 'eyJhbGciOiJFQ0RILUVTIn0..canary-of-what-is-sealed';

const cards = 4;
const amountOf = (total: number) => ({ total, reserved: 0, used: 0, free: total });
const digestOf = (at: number) => `sha256:${at.toString(16).padStart(64, '0')}`;

function artifactsOfEveryKind(): Artifact[] {
  const kinds: Partial<Artifact>[] = [
    { name: 'runtime-cpu', lifecycle: 'promoted', trust: 'verified', size_bytes: 412_000_000 },
    { name: 'runtime-cpu', lifecycle: 'deprecated', trust: 'verified', size_bytes: 409_000_000 },
    {
      name: 'runtime-nvidia-h200',
      lifecycle: 'published',
      trust: 'unverified',
      platform_digest: null,
      size_bytes: null,
    },
    { name: 'vllm-openai-cuda', lifecycle: 'published', trust: 'failed' },
    { name: 'vllm-openai-cuda', lifecycle: 'retired', trust: 'verified' },
    { name: 'runtime-amd-rocm', lifecycle: 'promoted', trust: 'revoked' },
  ];
  return kinds.map((kind, at) =>
    anArtifact({
      ...{ id: `artifact-${at}`, repository: `127.0.0.1:5000/curated/${kind.name}`, digest: digestOf(at + 1) },
      ...{ platform_digest: digestOf(at + 1), ...kind },
    }),
  );
}

function allocationOf(at: number): Allocation {
  return anAllocation({
    ...{ id: `0190a000-0000-7000-8000-${String(at).padStart(12, '0')}`, name: `lab ${at}`, node_id: `node-${at}` },
    ...{ shape: { gpu_count: cards, cpu_cores: 64, memory_gib: 512 }, project_storage: at % 2 === 0 },
    ssh: { user: 'tenant', host: `gpu-${at}.example.com`, port: 22 },
  });
}

function nodeOf(at: number, allocation_id: string) {
  const uuid = (card: number) => `GPU-${String(at).padStart(6, '0')}${card}`;
  const runtime = runtimeStatus({
    gpus: Array.from({ length: cards }, (_, card) => sampleGpu({ uuid: uuid(card) })),
    resources: { cpu_cores: amountOf(64), memory_gib: amountOf(512), disk_gib: amountOf(2000) },
    ready: at % 3 !== 2,
    reasons: at % 3 === 2 ? ['Docker does not answer.'] : [],
  });
  return aNode({
    ...{ id: `node-${at}`, name: `gpu-${at}`, allocation_id, runtime, drain: at % 5 === 4 },
    inventory: inventory({ hostname: `gpu-${at}`, runtime }),
  });
}

function instanceOf(at: number, allocation: Allocation | undefined): AppInstance {
  const state = instanceStates[at % instanceStates.length] ?? 'running';
  return anInstance({
    ...{ id: `instance-${at}`, display_name: `Notebook ${at}`, state, allocation_id: allocation?.id ?? '' },
    ...{
      node_id: allocation?.node_id ?? null,
      artifact_id: 'artifact-0',
      resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    },
    sealed_files: { '/run/secrets/gpuaas/token': sealedCanary },
    ...{ summary: `It is ${state}.`, history: [{ state, at: '2026-11-25T10:00:00.000Z', reason: 'Seeded.' }] },
  });
}
