/** Which control plane the commands talk to: `GPUAAS_URL`, `GPUAAS_TOKEN`, and `GPUAAS_CA` for a CA of one's own. */
import { readFileSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { AgentError } from '../../contract/failures.ts';
import { type ClientOptions, ControlPlaneClient } from './client.ts';

export const defaultUrl = 'http://127.0.0.1:8080';

/** The token is never an argument: arguments are seen by everybody on the machine. */
export function connect(
  env: NodeJS.ProcessEnv = process.env,
  more: Pick<ClientOptions, 'attempts'> = {},
): ControlPlaneClient {
  const { GPUAAS_URL: url = defaultUrl, GPUAAS_TOKEN: token, GPUAAS_CA: caFile = '' } = env;
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw new AgentError('command.invalid', {
      reason:
        'GPUAAS_TOKEN must hold a token of the control plane. `gpuaas tokens create` makes one for somebody; `gpuaas serve --init` prints the first.',
    });
  }
  const client = new ControlPlaneClient({ url, token, ...more });
  if (url.startsWith('https:')) {
    setDefaultCACertificates(caFile === '' ? ofTheSystem() : [readCa(caFile)]);
  }
  return client;
}

/** What the machine believes, and what comes with Node: some machines keep no list. */
function ofTheSystem(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}

/** Whoever names a CA believes no other. */
function readCa(file: string): string {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError(
      'command.invalid',
      { reason: `GPUAAS_CA: ${file} cannot be read (${code}).` },
      { cause: error },
    );
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new AgentError('command.invalid', { reason: `GPUAAS_CA: ${file} holds no PEM certificate.` });
  }
  return pem;
}
