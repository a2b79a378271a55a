/** A launch as the control plane queues it, for an image of a registry. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { WorkloadOciLaunchParams } from '../../src/contract/workload-oci-launch.ts';
import type { NewTask } from '../../src/server/hub/task-queue.ts';

const fixture = resolve(import.meta.dirname, '../../fixtures/tasks/workload-oci-launch.json');

/** `reference` is `host/repository@sha256:…`. */
export function launchTask(node_id: string, reference: string): NewTask<'workload.oci_launch'> {
  const { params } = JSON.parse(readFileSync(fixture, 'utf8')) as { params: WorkloadOciLaunchParams };
  const image = { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' } as const;
  return {
    ...{ node_id, allocation_id: 'alloc-1', workload_id: 'app-1', purpose: 'launch', trace_id: 'trace-1' },
    ...{ type: 'workload.oci_launch', params: { ...params, image } },
  };
}
