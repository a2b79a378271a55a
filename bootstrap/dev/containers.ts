/** Plain containers, straight from the engine: for making images and for trying them out, not for workloads. */
import { askEngine, callEngine } from './engine-api.ts';

/** What a plain container is made of, in the engine's own words. */
export interface ContainerSpec {
  readonly Image: string;
  readonly Cmd?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly HostConfig?: Readonly<Record<string, unknown>>;
  readonly Tty?: boolean;
  readonly Hostname?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
}

/** Creates and starts a container. */
export async function startContainer(socketPath: string, name: string, spec: ContainerSpec): Promise<void> {
  // A terminal makes the log one plain stream, without the engine's frames.
  const body = { Tty: true, ...spec };
  await askEngine({ socketPath, method: 'POST', path: `/containers/create?name=${name}`, body });
  await askEngine({ socketPath, method: 'POST', path: `/containers/${name}/start` });
}

/** Waits until a container has ended, at most `seconds`, and gives its exit code. */
export async function waitContainer(socketPath: string, name: string, seconds: number): Promise<number> {
  const path = `/containers/${name}/wait`;
  const ended = await askEngine<{ StatusCode: number }>({ socketPath, method: 'POST', path, idleSeconds: seconds });
  return ended.StatusCode;
}

/** The last lines that a container wrote to both its streams. */
export async function containerLog(socketPath: string, name: string, tail = 1000): Promise<string> {
  const path = `/containers/${name}/logs?stdout=1&stderr=1&tail=${tail}`;
  return (await askEngineText(socketPath, path)).replaceAll('\r\n', '\n');
}

/** Runs a program in a running container to its end. */
export async function execIn(
  socketPath: string,
  name: string,
  command: readonly string[],
): Promise<{ readonly code: number; readonly output: string }> {
  const body = { Cmd: command, AttachStdout: true, AttachStderr: true, Tty: true };
  const { Id } = await askEngine<{ Id: string }>({
    socketPath,
    method: 'POST',
    path: `/containers/${name}/exec`,
    body,
  });
  const started = { Detach: false, Tty: true };
  const { text } = await callEngine({ socketPath, method: 'POST', path: `/exec/${Id}/start`, body: started });
  const ended = await askEngine<{ ExitCode: number }>({ socketPath, method: 'GET', path: `/exec/${Id}/json` });
  return { code: ended.ExitCode, output: text.replaceAll('\r\n', '\n') };
}

/** Removes a container with its anonymous volumes, running or not, there or not. */
export async function removeContainer(socketPath: string, name: string): Promise<void> {
  const { status, text } = await callEngine({ socketPath, method: 'DELETE', path: `/containers/${name}?force=1&v=1` });
  if (status >= 400 && status !== 404) throw new Error(`Removing ${name} answered ${status}: ${text}`);
}

async function askEngineText(socketPath: string, path: string): Promise<string> {
  const { status, text } = await callEngine({ socketPath, method: 'GET', path });
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
  return text;
}
