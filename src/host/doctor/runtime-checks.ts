/** Checks of the programs on this host: approved engine and Compose. */
import type { RuntimeProbe } from '../../contract/workload-oci-runtime-status.ts';
import type { ComposeProbe } from '../compose.ts';
import { type Check, check, type Finding, fail, ok, warn } from './check.ts';

export interface RuntimeChecks {
  readonly probeRuntimes: (signal: AbortSignal) => Promise<RuntimeProbe[]>;
  readonly probeCompose: (signal: AbortSignal) => Promise<Pick<ComposeProbe, 'version' | 'reason'>>;
}

export function runtimeChecks({ probeRuntimes, probeCompose }: RuntimeChecks): Check[] {
  return [
    check('runtime.approved', 'Workloads run on engines that host policy approves, and on no other.', async (signal) =>
      judgeRuntimes(await probeRuntimes(signal)),
    ),
    check(
      'runtime.compose',
      'Stacks of several services need Compose version 2; single containers do not.',
      async (signal) => judgeCompose(await probeCompose(signal)),
    ),
  ];
}

function judgeRuntimes(probes: readonly RuntimeProbe[]): Finding {
  const docker = probes.find(({ name }) => name === 'docker');
  const seen = probes.map(({ name, state, version }) => `${name} ${version ?? state.replaceAll('_', ' ')}`).join(', ');
  if (docker?.approved !== true) {
    return fail(
      `Host policy does not approve docker, the engine behind the gate (${seen}).`,
      'Add "docker" to `approved_engines` in the configuration.',
    );
  }
  return docker.state === 'ready'
    ? ok(`docker is approved and ready (${seen}).`)
    : fail(`${docker.reason ?? seen}`, fixes[docker.state]);
}

const fixes: Readonly<Record<Exclude<RuntimeProbe['state'], 'ready'>, string>> = {
  not_installed: 'Run the bootstrap script again: it installs the engine.',
  not_running: 'Start the engine (`systemctl start docker`), then the gate, and read their journals if they end again.',
  no_permission: 'Run the gate as root, and this command as root or as the user of the agent.',
};

function judgeCompose({ version, reason }: Pick<ComposeProbe, 'version' | 'reason'>): Finding {
  return version === null
    ? warn(
        reason ?? 'Compose is not there.',
        'Install the Compose plugin of the engine (docker-compose-v2 or docker-compose-plugin).',
      )
    : ok(`Compose ${version} is there.`);
}
