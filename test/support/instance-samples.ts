/** An instance of JupyterLab that runs. */
import type { AppInstance } from '../../src/server/db/entities/app-instance.ts';
import { allocationId, imageDigest } from './launch-samples.ts';

const at = '2026-11-25T11:00:00.000Z';

export function anInstance(given: Partial<AppInstance> = {}): AppInstance {
  return {
    ...{ id: 'instance-1', project_id: 'p1', allocation_id: allocationId, node_id: 'node-1' },
    ...{ app_slug: 'jupyterlab', app_version: '2026.04-preview', display_name: 'My JupyterLab' },
    ...{ artifact_id: 'artifact-cpu', image: `127.0.0.1:5000/curated/runtime-cpu@${imageDigest}` },
    ...{ image_digest: imageDigest, engine: 'node_agent', config: { host_port: 8888 } },
    ...{ resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 }, host_ports: { web: 8888 }, sealed_files: {} },
    ...{ state: 'running', state_since: at, desired: 'running', failure: null, summary: 'It runs.' },
    ...{ members: [], endpoints: [], cleanup: null, history: [], current_task_id: null },
    billing: { project_id: 'p1', allocation_id: allocationId, gpu_count: 0, periods: [] },
    ...{ created_at: at, created_by: 'token-1', updated_at: at, trace_id: 'trace-1' },
    ...given,
  };
}
