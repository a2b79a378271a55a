/** `node-agent gate`: runs the engine gate alone, until it is told to stop. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { hostPolicyOf, loadConfig } from '../../agent/config.ts';
import { VitalSigns } from '../../agent/vital-signs.ts';
import { AgentError } from '../../contract/failures.ts';
import { startGate } from '../../gate/gate.ts';
import { takeService } from '../../host/systemd/service.ts';
import { systemClock } from '../../kit/clock.ts';
import { createLog } from '../../kit/log.ts';
import { tellCrashes } from '../crash.ts';
import { exitCodes } from '../exit-codes.ts';

export async function runGate({ config: file }: { config?: string }): Promise<number> {
  const { manager, journal } = takeService('gpuaas-node-agent-gate', process.env);
  const loaded = await loadConfig(file, process.env);
  const { config } = loaded;
  const policy = await hostPolicyOf(loaded);
  const log = createLog({ level: config.log_level, ...(journal && { destination: journal }) });
  tellCrashes(log);
  const gate = await startGate({
    socketPath: config.gate.socket,
    engineSocket: config.gate.engine_socket,
    stateDir: config.gate.state_dir,
    ...(config.gate.socket_gid === undefined ? {} : { socketMode: 0o660, socketGroup: config.gate.socket_gid }),
    ...{ policy, log },
  });
  log.info({ socket: gate.socketPath, engine: config.gate.engine_socket }, 'gate listens');
  let status = `Listens on ${gate.socketPath} for ${config.gate.engine_socket}.`;
  const vital = new VitalSigns({
    ...{ manager, log, clock: systemClock },
    status: () => status,
    signs: { socket: (signal) => connects(gate.socketPath, signal) },
  });
  await vital.ready();
  const ending = new AbortController();
  // It stays, so that whoever asks is told the reason, and works as soon as another engine answers.
  const asked = gate.assertEngine().catch((error: unknown) => {
    if (!(error instanceof AgentError) || error.code !== 'engine.unsupported') return;
    log.error({ code: error.code, ...error.detail }, 'engine refused');
    status = error.message;
    vital.changed(ending.signal);
  });
  const watched = vital.run(ending.signal);

  const stop = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  log.info({ signal: String(stop[0] ?? '') }, 'gate stops');
  await vital.stopping('Stops. Containers live on.');
  ending.abort();
  await watched;
  await gate.close();
  await asked;
  return exitCodes.ok;
}

/** Resolves when the socket takes a connection; the engine behind it is not asked. */
async function connects(path: string, signal: AbortSignal): Promise<void> {
  const socket = connect(path);
  try {
    await once(socket, 'connect', { signal });
  } finally {
    socket.destroy();
  }
}
