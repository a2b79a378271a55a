/** What the gate tells about the engine itself. */
import { AgentError } from '../contract/failures.ts';
import { sendAnswer, sendJson, sendStream } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import { engineMessage } from './sealed-containers.ts';

/** Of the engine's many facts, those that decide whether and how a workload runs. The rest can hold proxies and labels. */
const toldFacts = [
  ...['ID', 'Name', 'ServerVersion', 'OperatingSystem', 'OSType', 'Architecture', 'KernelVersion', 'NCPU', 'MemTotal'],
  ...['Driver', 'DriverStatus', 'DockerRootDir', 'LoggingDriver', 'CgroupDriver', 'CgroupVersion', 'SecurityOptions'],
  ...['Runtimes', 'DefaultRuntime', 'InitBinary', 'MemoryLimit', 'SwapLimit', 'CpuCfsPeriod', 'CpuCfsQuota'],
  ...[
    'PidsLimit',
    'IPv4Forwarding',
    'CDISpecDirs',
    'Containers',
    'ContainersRunning',
    'LiveRestoreEnabled',
    'Warnings',
  ],
];

export async function ping(call: GateCall, gate: GateContext): Promise<void> {
  const method = call.request.method === 'HEAD' ? 'HEAD' : 'GET';
  await sendStream(call.response, await gate.engine.stream({ method, path: '/_ping', signal: call.signal }));
}

export async function version(call: GateCall, gate: GateContext): Promise<void> {
  sendAnswer(call.response, await gate.engine.ask({ method: 'GET', path: '/version', signal: call.signal }));
}

export async function info(call: GateCall, gate: GateContext): Promise<void> {
  const answer = await gate.engine.ask({ method: 'GET', path: '/info', signal: call.signal });
  if (answer.status !== 200) {
    throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
  }
  const facts = JSON.parse(answer.body.toString()) as Record<string, unknown>;
  sendJson(
    call.response,
    200,
    Object.fromEntries(toldFacts.flatMap((key) => (key in facts ? [[key, facts[key]]] : []))),
  );
}
