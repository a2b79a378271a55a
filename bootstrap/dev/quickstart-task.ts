/**
 * The launch that quickstart asks of the agent.
 *
 * Kept as it was for as long as it still fits, so that a later run adopts the notebook. Where the image, the index or the
 * port has changed it is written anew, and the agent replaces the notebook; its port and its token stay wherever they can.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerName, labels } from '../../src/contract/names.ts';
import { askEngine, callEngine } from './engine-api.ts';
import { freePort } from './free-port.ts';

/** One quickstart on this host; see `quickstart.ts`. */
export interface Quickstart {
  readonly folder: string;
  readonly secretsDir: string;
  readonly identity: { readonly app_instance_id: string; readonly allocation_id: string };
}

/** What the launch shall have. */
export interface Wanted {
  readonly socketPath: string;
  readonly imageReference: string;
  readonly indexUrl: string;
  readonly seal: (value: string) => Promise<string>;
}

const tokenName = 'jupyter-token';
const usualPort = 8888;

type LaunchTask = ReturnType<typeof launchTask>;

/** Makes sure that the file has the launch that is wanted, and gives the token of its notebook. */
export async function writeTask(quickstart: Quickstart, wanted: Wanted): Promise<{ file: string; token: string }> {
  const file = taskFile(quickstart);
  const earlier = earlierTask(quickstart);
  const token = earlierToken(quickstart);
  const hostPort = await portOf(quickstart, wanted.socketPath, earlier);
  if (token !== undefined && earlier !== undefined && stillFits(earlier, wanted, hostPort)) return { file, token };

  const chosen = token ?? randomBytes(24).toString('hex');
  const task = launchTask(quickstart, wanted, hostPort, await wanted.seal(chosen));
  writeFileSync(file, `${JSON.stringify(task, null, 2)}\n`, { mode: 0o600 });
  return { file, token: chosen };
}

/** The port that the index must have for an earlier launch to fit, or one that it can have again for the next. */
export async function indexPort(quickstart: Quickstart): Promise<number> {
  const url = earlierTask(quickstart)?.params.env.PIP_INDEX_URL;
  return url === undefined ? await freePort() : Number(new URL(url).port);
}

function stillFits({ params }: LaunchTask, wanted: Wanted, hostPort: number): boolean {
  return (
    params.image.reference === wanted.imageReference &&
    params.env.PIP_INDEX_URL === wanted.indexUrl &&
    params.ports[0]?.host_port === hostPort
  );
}

/** The notebook keeps its port, which nobody else can have while it runs. */
async function portOf(quickstart: Quickstart, socketPath: string, earlier?: LaunchTask): Promise<number> {
  const known = earlier?.params.ports[0]?.host_port;
  if (known !== undefined && (await notebookHolds(quickstart, socketPath, known))) return known;
  return await freePort(known ?? usualPort);
}

interface Notebook {
  readonly State: { readonly Running: boolean };
  readonly Config: { readonly Labels: Readonly<Record<string, string>> };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>;
  };
}

async function notebookHolds({ identity }: Quickstart, socketPath: string, port: number): Promise<boolean> {
  const path = `/containers/${containerName(identity.app_instance_id)}/json`;
  const { status } = await callEngine({ socketPath, method: 'GET', path });
  if (status === 404) return false;
  const { State, Config, NetworkSettings } = await askEngine<Notebook>({ socketPath, method: 'GET', path });
  const published = Object.values(NetworkSettings.Ports).flatMap((list) => list ?? []);
  return (
    State.Running &&
    Config.Labels[labels.allocation] === identity.allocation_id &&
    published.some(({ HostPort }) => Number(HostPort) === port)
  );
}

function earlierTask(quickstart: Quickstart): LaunchTask | undefined {
  const file = taskFile(quickstart);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LaunchTask) : undefined;
}

/** In memory only: after a restart of the host there is none. */
function earlierToken({ secretsDir, identity }: Quickstart): string | undefined {
  const file = join(secretsDir, identity.app_instance_id, tokenName);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

const taskFile = ({ folder }: Quickstart) => join(folder, 'jupyterlab.json');

function launchTask(
  { identity }: Quickstart,
  { imageReference: reference, indexUrl }: Wanted,
  hostPort: number,
  sealedToken: string,
) {
  const jupyter = '/workspace/.jupyter';
  return {
    type: 'workload.oci_launch',
    params: {
      identity,
      image: { kind: 'registry', reference, media_type: 'application/vnd.docker.distribution.manifest.v2+json' },
      env: {
        HOME: '/workspace',
        JUPYTER_RUNTIME_DIR: `${jupyter}/runtime`,
        JUPYTER_CONFIG_DIR: `${jupyter}/config`,
        JUPYTER_DATA_DIR: `${jupyter}/data`,
        JUPYTER_PREFER_ENV_PATH: '0',
        JUPYTERLAB_SETTINGS_DIR: `${jupyter}/lab/user-settings`,
        JUPYTERLAB_WORKSPACES_DIR: `${jupyter}/lab/workspaces`,
        JUPYTER_TOKEN_FILE: `/run/secrets/${tokenName}`,
        PIP_INDEX_URL: indexUrl,
        PIP_TRUSTED_HOST: new URL(indexUrl).hostname,
      },
      sealed_files: { [`/run/secrets/${tokenName}`]: sealedToken },
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 2 },
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
      ports: [{ name: 'web', container_port: 8888, host_port: hostPort, protocol: 'http' }],
      python_packages: ['quickstart-hello==1.0.0'],
      readiness: [{ type: 'http', endpoint: 'web', path: '/api', timeout_seconds: 120 }],
      sandbox: 'runc',
      restart: { policy: 'on_failure', max_retries: 3 },
      log_limits: { max_size_mib: 10, max_files: 3 },
    },
  };
}
