/** Entities as tests need them: valid, and different where they are asked to be. */
import type { Allocation } from '../../src/server/db/entities/allocation.ts';
import type { AppInstance } from '../../src/server/db/entities/app-instance.ts';
import type { Artifact } from '../../src/server/db/entities/artifact.ts';
import type { AuditEntry } from '../../src/server/db/entities/audit-entry.ts';
import type { NewEvent } from '../../src/server/db/entities/event.ts';
import type { Project } from '../../src/server/db/entities/project.ts';
import type { StoredRelease } from '../../src/server/db/entities/release.ts';
import type { Rollout } from '../../src/server/db/entities/rollout.ts';
import type { Task } from '../../src/server/db/entities/task.ts';

const at = '2026-11-25T10:00:00.000Z';

export function aProject(given: Partial<Project> = {}): Project {
  return { id: 'p1', name: 'research', display_name: 'Research', created_at: at, ...given };
}

export function anAllocation(given: Partial<Allocation> = {}): Allocation {
  return {
    ...{
      id: '0190a000-0000-7000-8000-000000000001',
      project_id: 'p1',
      name: 'host one',
      state: 'active',
      node_id: null,
    },
    ...{
      shape: { gpu_count: 1, cpu_cores: 8, memory_gib: 32 },
      ssh: null,
      project_storage: false,
      data_policy: 'keep',
    },
    ...{ created_at: at, ended_at: null },
    ...given,
  };
}

export function anEvent(given: Partial<NewEvent> = {}): NewEvent {
  return {
    ...{ time: at, type: 'project.created', project_id: 'p1', subject: { kind: 'project', id: 'p1' }, actor: 'system' },
    ...{ correlation_id: null, message: 'The project was made.', data: {} },
    ...given,
  };
}

export function anAuditEntry(given: Partial<AuditEntry> = {}): AuditEntry {
  return {
    ...{ id: 'e1', time: at, actor: 'token:t1', role: 'admin', project_id: null, method: 'POST' },
    ...{ route: '/api/v1/projects', subject: 'p1', outcome: 'accepted', status: 201, code: null },
    ...{ correlation_id: 'c1', remote: '127.0.0.1' },
    ...given,
  };
}

export function anArtifact(given: Partial<Artifact> = {}): Artifact {
  return {
    ...{ id: 'a1', name: 'runtime-cpu', repository: '127.0.0.1:5000/curated/runtime-cpu' },
    ...{ digest: `sha256:${'a'.repeat(64)}`, media_type: 'application/vnd.oci.image.manifest.v1+json' },
    ...{ platform_digest: `sha256:${'a'.repeat(64)}`, size_bytes: 1, lifecycle: 'published', trust: 'verified' },
    ...{ verification: null, promotions: [], created_at: at, created_by: 'init', updated_at: at },
    provenance: { source: null, revision: null, builder: null, built_at: null },
    ...given,
  };
}

export function anInstance(given: Partial<AppInstance> = {}): AppInstance {
  const { id: allocation_id } = anAllocation();
  return {
    ...{
      id: 'i1',
      project_id: 'p1',
      allocation_id,
      node_id: 'n1',
      app_slug: 'jupyterlab',
      app_version: '2026.04-preview',
    },
    ...{ display_name: 'My notebook', artifact_id: 'a1', engine: 'node_agent', config: {}, state: 'running' },
    ...{ image: anArtifact().repository, image_digest: anArtifact().digest, state_since: at, desired: 'running' },
    resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    ...{ host_ports: {}, sealed_files: {} },
    ...{
      failure: null,
      summary: 'Runs.',
      members: [],
      endpoints: [],
      cleanup: null,
      history: [],
      current_task_id: null,
    },
    billing: { project_id: 'p1', allocation_id, gpu_count: 0, periods: [] },
    ...{ created_at: at, created_by: 'init', updated_at: at, trace_id: 'trace-1' },
    ...given,
  };
}

export function aRollout(given: Partial<Rollout> = {}): Rollout {
  return {
    ...{ id: 'r1', version: '1.1.0', channel: 'stable', state: 'running', reason: null, stage: 'canaries' },
    ...{ stage_since: at, wait_seconds: 600, parallel: 2, jitter_seconds: 0, urgent: false },
    ...{ created_at: at, created_by: 'token-1', ended_at: null },
    ...given,
  };
}

export function aStoredRelease(given: Partial<StoredRelease> = {}): StoredRelease {
  const artifact = {
    name: 'bootstrap.sh',
    kind: 'bootstrap',
    os: 'any',
    arch: 'any',
    size: 1,
    sha256: 'a'.repeat(64),
  } as const;
  const papers = { manifest: 'AA==', manifest_signature: 'AA==', keys: 'AA==', keys_signature: 'AA==' };
  return {
    ...{ id: `release-${given.seq ?? 1}`, seq: 1, version: '1.1.0', commit: 'c'.repeat(40), channel: 'stable' },
    ...{ min_from: 0, floor: 0, expires: '2027-01-01T00:00:00Z', artifacts: [artifact], keys_seq: 1, papers },
    ...{ state: 'published', withdrawn_reason: null, created_at: at, created_by: 'token-1' },
    ...given,
  };
}

export function aTask(given: Partial<Task> = {}): Task {
  return {
    ...{
      id: 't1',
      node_id: 'n1',
      allocation_id: anAllocation().id,
      project_id: 'p1',
      workload_id: 'i1',
      instance_id: 'i1',
    },
    ...{
      type: 'workload.oci_runtime_status',
      schema_version: 1,
      attempt: 1,
      fencing: 1,
      deadline_seconds: 60,
      params: {},
    },
    ...{
      issued_at: at,
      not_after: '2026-11-25T11:00:00.000Z',
      trace_id: 'trace-1',
      purpose: 'launch',
      state: 'queued',
    },
    ...{ lease: null, cancel_requested: false, result: null, created_at: at, ended_at: null },
    ...given,
  };
}
