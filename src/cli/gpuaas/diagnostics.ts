/** `gpuaas nodes diagnostics`: has a node collect a bundle for support, and writes it into a file. */
import type { AgentCollectDiagnosticsOutput } from '../../contract/agent-collect-diagnostics.ts';
import { AgentError } from '../../contract/failures.ts';
import { writeBundle } from '../bundle-file.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import { askNode, type NodeAnswer } from './ask-node.ts';
import type { ControlPlaneClient } from './client.ts';
import { given } from './options.ts';

export interface DiagnosticsOptions {
  readonly output: string;
  /** Newest tasks whose logs are wanted. */
  readonly tasks?: number;
  readonly json: boolean;
}

export async function fetchDiagnostics(
  client: ControlPlaneClient,
  nodeId: string,
  { output, tasks, json }: DiagnosticsOptions,
): Promise<void> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeId)}/diagnostics`;
  const asking = askNode<NodeAnswer & { bundle: AgentCollectDiagnosticsOutput | null }>(client, path, given({ tasks }));
  const { bundle } = await asking;
  if (bundle === null) throw new AgentError('internal', { reason: 'The node sent no bundle.' });
  await writeBundle(output, bundle);
  if (json) {
    printJson({ file: output, files: bundle.files.map(({ name }) => name), left_out: bundle.left_out });
    return;
  }
  for (const line of bundle.left_out) tell(oneLine(`left out: ${line}`));
  printLine(`${bundle.files.length} files in ${output}. Secrets were taken out; read it before you hand it on.`);
}
