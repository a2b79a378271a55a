/** `gpuaas nodes diagnostics`: has a node collect a bundle for support, and writes it into a file. */
import type { AgentCollectDiagnosticsOutput } from '../../contract/agent-collect-diagnostics.ts';
import { AgentError, type Failure } from '../../contract/failures.ts';
import { pause } from '../../kit/backoff.ts';
import { writeBundle } from '../bundle-file.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { given } from './options.ts';

export interface DiagnosticsOptions {
  readonly output: string;
  /** Newest tasks whose logs are wanted. */
  readonly tasks?: number;
  readonly json: boolean;
}

interface Asked {
  readonly task_id: string;
  readonly state: 'waiting' | 'ended';
  readonly bundle: AgentCollectDiagnosticsOutput | null;
  readonly failure: Failure | null;
}

const everyMs = 500;

/** Waits as long as its task may: the control plane ends it where the node stays away. */
export async function fetchDiagnostics(
  client: ControlPlaneClient,
  nodeId: string,
  { output, tasks, json }: DiagnosticsOptions,
): Promise<void> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeId)}/diagnostics`;
  let asked = await client.change<Asked>('POST', path, given({ tasks }));
  while (asked.state !== 'ended') {
    await pause(everyMs, undefined);
    asked = await client.get<Asked>(`${path}/${asked.task_id}`);
  }
  const { bundle, failure } = asked;
  if (failure !== null)
    throw new AgentError(failure.code as AgentError['code'], failure.detail as AgentError['detail']);
  if (bundle === null) throw new AgentError('internal', { reason: 'The node sent no bundle.' });
  await writeBundle(output, bundle);
  if (json) {
    printJson({ file: output, files: bundle.files.map(({ name }) => name), left_out: bundle.left_out });
    return;
  }
  for (const line of bundle.left_out) tell(oneLine(`left out: ${line}`));
  printLine(`${bundle.files.length} files in ${output}. Secrets were taken out; read it before you hand it on.`);
}
