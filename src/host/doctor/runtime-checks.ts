/** Checks of the programs on this host: approved engine, Compose, NVIDIA driver and its runtime. */
import type { RuntimeProbe } from '../../contract/workload-oci-runtime-status.ts';
import type { ComposeProbe } from '../compose.ts';
import type { GpuProbe } from '../gpus.ts';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { type AskEngine, type EngineReport, withEngine } from './engine-checks.ts';

export interface RuntimeChecks {
  readonly askEngine: AskEngine;
  readonly probeRuntimes: (signal: AbortSignal) => Promise<RuntimeProbe[]>;
  readonly probeCompose: (signal: AbortSignal) => Promise<Pick<ComposeProbe, 'version' | 'reason'>>;
  readonly probeGpus: (signal: AbortSignal) => Promise<GpuProbe>;
  /** PCI addresses of NVIDIA cards. */
  readonly cardsOnBus: () => Promise<string[]>;
}

export function runtimeChecks({
  askEngine,
  probeRuntimes,
  probeCompose,
  probeGpus,
  cardsOnBus,
}: RuntimeChecks): Check[] {
  return [
    check('runtime.approved', 'Workloads run on engines that host policy approves, and on no other.', async (signal) =>
      judgeRuntimes(await probeRuntimes(signal)),
    ),
    check(
      'runtime.compose',
      'Stacks of several services need Compose version 2; single containers do not.',
      async (signal) => judgeCompose(await probeCompose(signal)),
    ),
    check('gpu.driver', 'A card that its driver does not report cannot be given to a workload.', async (signal) =>
      judgeDriver(...(await Promise.all([cardsOnBus(), probeGpus(signal)]))),
    ),
    check(
      'gpu.runtime',
      'The engine needs the NVIDIA runtime to hand out cards; as its default it would show all cards to every container.',
      async (signal) => {
        const { gpus } = await probeGpus(signal);
        return await withEngine(askEngine, (report) => judgeGpuRuntime(gpus.length, report))(signal);
      },
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

function judgeDriver(cards: readonly string[], { drivers }: GpuProbe): Finding {
  const driver = drivers.find(({ vendor }) => vendor === 'nvidia');
  if (driver !== undefined && driver.reason !== null) {
    return fail(driver.reason, 'Read the kernel log for NVRM and Xid lines, then reload the driver or reboot.');
  }
  if (driver === undefined) {
    return cards.length === 0
      ? skipped('This host has no NVIDIA card.')
      : fail(
          `There are ${cards.length} NVIDIA cards on the bus (${cards.join(', ')}) and no driver.`,
          'Install the NVIDIA driver with nvidia-smi, then run the bootstrap script again.',
        );
  }
  const { gpus, partitioned } = driver;
  const answered = gpus.filter(({ mig }) => mig === null).length + partitioned.length;
  if (answered < cards.length) {
    return fail(
      `The driver reports ${answered} of the ${cards.length} NVIDIA cards on the bus.`,
      'Read the kernel log for NVRM and Xid lines; a card that fell off the bus needs a reboot.',
    );
  }
  return ok(`The driver reports ${gpus.length} cards: ${gpus.map(({ name }) => name).join(', ')}.`);
}

function judgeGpuRuntime(cards: number, { runtimes, defaultRuntime }: EngineReport): Finding {
  if (defaultRuntime === 'nvidia') {
    return warn(
      'The NVIDIA runtime is the default of the engine.',
      'Take `default-runtime` out of /etc/docker/daemon.json and restart the engine.',
    );
  }
  if (cards === 0) {
    return skipped('The driver reports no card.');
  }
  return runtimes.includes('nvidia')
    ? ok('The engine has the NVIDIA runtime, and not as its default.')
    : fail(
        `The engine has no NVIDIA runtime; it knows ${runtimes.join(', ')}.`,
        'Install nvidia-container-toolkit, run `nvidia-ctk runtime configure --runtime=docker`, and restart the engine.',
      );
}
