/** `node-agent gate`: runs the engine gate alone, until it is told to stop. */
import { once } from 'node:events';
import { hostPolicyOf, loadConfig } from '../../agent/config.ts';
import { startGate } from '../../gate/gate.ts';
import { createLog } from '../../kit/log.ts';
import { tellCrashes } from '../crash.ts';
import { exitCodes } from '../exit-codes.ts';

export async function runGate({ config: file }: { config?: string }): Promise<number> {
  const loaded = await loadConfig(file, process.env);
  const { config } = loaded;
  const policy = await hostPolicyOf(loaded);
  const log = createLog({ level: config.log_level });
  tellCrashes(log);
  const gate = await startGate({
    socketPath: config.gate.socket,
    engineSocket: config.gate.engine_socket,
    stateDir: config.gate.state_dir,
    ...(config.gate.socket_gid === undefined ? {} : { socketMode: 0o660, socketGroup: config.gate.socket_gid }),
    ...{ policy, log },
  });
  log.info({ socket: gate.socketPath, engine: config.gate.engine_socket }, 'gate listens');

  const stop = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  log.info({ signal: String(stop[0] ?? '') }, 'gate stops');
  await gate.close();
  return exitCodes.ok;
}
