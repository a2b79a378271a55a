/** Params that the schema accepts, and ways to change one place in them. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TaskEnvelope } from '../../../src/contract/task-envelope.ts';
import { type TaskParams, type TaskType, taskSchemas, workloadOf } from '../../../src/contract/tasks.ts';

const fixtures = resolve(import.meta.dirname, '../../../fixtures/tasks');

/** A fresh copy of the params of the fixture of a task type. */
export function fixtureParams<T extends TaskType>(type: T): TaskParams<T> {
  const file = join(fixtures, `${type.replaceAll(/[._]/g, '-')}.json`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { params: TaskParams<T> }).params;
}

/** A JWE by its looks. */
export const sealedText = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.dGFn';

/** A launch that uses every optional field. */
export function fullLaunch(): TaskParams<'workload.oci_launch'> {
  const params = fixtureParams('workload.oci_launch');
  return {
    ...params,
    command: ['jupyter-lab', '--ip=0.0.0.0'],
    entrypoint: ['/usr/bin/env'],
    sealed_env: { API_KEY: sealedText },
    sealed_files: { '/run/secrets/token': sealedText },
    resources: { ...params.resources, shm_gib: 0.5 },
    python_packages: ['numpy==2.4.4'],
    readiness: [
      { type: 'http', endpoint: 'web', path: '/api', bearer_env: 'API_KEY', timeout_seconds: 120 },
      { type: 'tcp', endpoint: 'web', timeout_seconds: 10 },
      { type: 'exec', command: ['true'], timeout_seconds: 10 },
      { type: 'container_health', timeout_seconds: 10 },
    ],
  };
}

/** A copy of `document` in which the JSON pointer leads to `value`. */
export function changed(document: unknown, pointer: string, value: unknown): unknown {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop() ?? '';
  const copy = structuredClone(document);
  const parent = keys.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], copy);
  Object.defineProperty(parent, last, { value, enumerable: true, configurable: true, writable: true });
  return copy;
}

/** An envelope around params for node `node-1` and allocation `alloc-1`. */
export function envelope<T extends TaskType>(
  type: T,
  params: TaskParams<T>,
  over: Partial<TaskEnvelope> = {},
): TaskEnvelope {
  return {
    ...{ task_id: 'task-1', type, schema_version: taskSchemas[type].version },
    ...{ node_id: 'node-1', allocation_id: 'alloc-1' },
    workload_id: workloadOf(params) ?? 'host',
    ...{ attempt: 1, fencing: 1, deadline_seconds: 60 },
    ...{ issued_at: '2026-11-23T10:00:00Z', not_after: '2026-11-23T11:00:00Z', trace_id: 'trace-1', params },
    ...over,
  };
}
