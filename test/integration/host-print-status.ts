/**
 * Prints one `workload.oci_runtime_status` as JSON: `node host-print-status.ts '{gateSocket, policy, sources, uid?}'`.
 *
 * With `uid` it asks once as it is, so that everything is loaded, then becomes that user for good and asks again.
 */
import { openGpuLedger } from '../../src/agent/host-gpus.ts';
import { createLog } from '../../src/kit/log.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { openStacks } from '../../src/runtime/compose/open-stacks.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import { Admission } from '../../src/tasks/admission.ts';
import { runtimeStatus, type StatusSources } from '../../src/tasks/workload-oci-runtime-status.ts';

interface Question {
  readonly gateSocket: string;
  readonly policy: HostPolicy;
  readonly sources: StatusSources;
  readonly uid?: number;
}

const { gateSocket, policy, sources, uid } = JSON.parse(process.argv[2] ?? '') as Question;
const engine = openDockerEngine({ socketPath: gateSocket });
const context = {
  ...{ engine, policy, admission: new Admission({ engine, policy }), gpus: openGpuLedger({ engine, policy }) },
  ...{ stacks: openStacks({ socketPath: gateSocket, stateDir: '/nonexistent' }), jobs: { room: undefined } },
  ...{ log: createLog({ level: 'silent' }), signal: AbortSignal.timeout(100_000) },
};

let status = await runtimeStatus(context, sources);
if (uid !== undefined) {
  engine.close();
  process.setgroups?.([]);
  process.setgid?.(uid);
  process.setuid?.(uid);
  status = await runtimeStatus(context, sources);
}
process.stdout.write(`${JSON.stringify(status)}\n`);
engine.close();
