/** Which control plane the commands talk to: `GPUAAS_URL` and `GPUAAS_TOKEN`. */
import { AgentError } from '../../contract/failures.ts';
import { ControlPlaneClient } from './client.ts';

export const defaultUrl = 'http://127.0.0.1:8080';

/** The token is never an argument: arguments are seen by everybody on the machine. */
export function connect(env: NodeJS.ProcessEnv = process.env): ControlPlaneClient {
  const token = env['GPUAAS_TOKEN'];
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw new AgentError('command.invalid', {
      reason: 'GPUAAS_TOKEN must hold the token of the control plane; `gpuaas serve --init` prints the first one.',
    });
  }
  return new ControlPlaneClient({ url: env['GPUAAS_URL'] ?? defaultUrl, token });
}
