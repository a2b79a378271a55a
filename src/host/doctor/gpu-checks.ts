/** Checks of the cards: their drivers, what hands them to containers, and whether the kernel is heard. */
import { nvidiaWay } from '../card-ways.ts';
import type { GpuProbe } from '../gpus.ts';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { type AskEngine, type EngineReport, withEngine } from './engine-checks.ts';

export interface GpuChecks {
  readonly askEngine: AskEngine;
  readonly probeGpus: (signal: AbortSignal) => Promise<GpuProbe>;
  /** PCI addresses of the cards of a maker. */
  readonly cardsOnBus: (maker: 'nvidia' | 'amd') => Promise<readonly string[]>;
  /** Path of a program of the host; null if it is not installed. */
  readonly findProgram: (name: string) => Promise<string | null>;
  /** Group that owns a device file; undefined where there is none. */
  readonly groupOf: (device: string) => Promise<number | undefined>;
  readonly canReadKernelLog: () => boolean;
}

export function gpuChecks(sources: GpuChecks): Check[] {
  const { askEngine, probeGpus, cardsOnBus } = sources;
  const judge = (look: (probe: GpuProbe) => Finding | Promise<Finding>) => async (signal: AbortSignal) =>
    await look(await probeGpus(signal));
  return [
    check('gpu.driver', 'A card that its driver does not report cannot be given to a workload.', async (signal) => {
      const [nvidia, amd, probe] = await Promise.all([cardsOnBus('nvidia'), cardsOnBus('amd'), probeGpus(signal)]);
      return judgeDrivers({ nvidia, amd }, probe);
    }),
    check(
      'gpu.runtime',
      'The engine needs a way to hand NVIDIA cards to containers, and must not show them to all.',
      async (signal) => {
        const probe = await probeGpus(signal);
        return await withEngine(askEngine, (report) => judgeWay(probe, report, sources))(signal);
      },
    ),
    check('gpu.mig', 'A card in MIG mode gives nothing to lease but its instances.', judge(judgeParts)),
    check(
      'gpu.devices',
      'AMD cards are handed to containers as device files of a group.',
      judge((probe) => judgeDevices(probe, sources)),
    ),
    check(
      'gpu.kernel_log',
      "An Xid in the kernel's log is the first sign, and often the only one, of a card that must not be given to anybody.",
      judge((probe) => judgeKernelLog(probe, sources)),
    ),
  ];
}

function judgeDrivers(
  onBus: Readonly<Record<'nvidia' | 'amd', readonly string[]>>,
  { gpus, drivers }: GpuProbe,
): Finding {
  const broken = drivers.find(({ reason }) => reason !== null);
  if (broken?.reason) {
    return fail(broken.reason, 'Read the kernel log for NVRM, Xid and amdgpu lines, then reload the driver or reboot.');
  }
  for (const [vendor, name, tools] of [
    ['nvidia', 'NVIDIA', 'nvidia-smi'],
    ['amd', 'AMD', 'amd-smi or rocm-smi'],
  ] as const) {
    const driver = drivers.find((one) => one.vendor === vendor);
    const cards = onBus[vendor];
    if (driver === undefined && cards.length > 0) {
      return fail(
        `There are ${cards.length} ${name} cards on the bus (${cards.join(', ')}) and no driver.`,
        `Install the ${name} driver with ${tools}, then run the bootstrap script again.`,
      );
    }
    const answered = driver ? driver.gpus.filter(({ mig }) => mig === null).length + driver.partitioned.length : 0;
    if (answered < cards.length) {
      return fail(
        `The driver reports ${answered} of the ${cards.length} ${name} cards on the bus.`,
        'Read the kernel log for NVRM, Xid and amdgpu lines; a card that fell off the bus needs a reboot.',
      );
    }
  }
  const sick = gpus.find(({ health }) => health === 'unhealthy');
  if (sick !== undefined) {
    return fail(`${sick.uuid}: ${sick.reason}`, 'Do what the driver says, then look at `node-agent gpus`.');
  }
  return drivers.length === 0
    ? skipped('This host has no card.')
    : ok(
        `The drivers report ${gpus.length} ${gpus.length === 1 ? 'card' : 'cards'}: ${gpus.map(({ name }) => name).join(', ')}.`,
      );
}

async function judgeWay({ gpus }: GpuProbe, report: EngineReport, { findProgram }: GpuChecks): Promise<Finding> {
  if (report.defaultRuntime === 'nvidia') {
    return warn(
      'The NVIDIA runtime is the default of the engine: an image can ask it for all cards.',
      'Take `default-runtime` out of /etc/docker/daemon.json and restart the engine.',
    );
  }
  const cards = gpus.filter(({ vendor }) => vendor === 'nvidia');
  if (cards.length === 0) {
    return skipped('The driver reports no NVIDIA card.');
  }
  const uuids = cards.map(({ uuid }) => uuid);
  const { by, hook, unnamed } = await nvidiaWay(uuids, report.cdiFolders, findProgram);
  if (by === 'cdi') {
    return ok("The host's CDI specs name every card, and the engine reads them.");
  }
  const cdi =
    unnamed.length > 0
      ? ` The CDI specs of this host do not name ${unnamed.join(', ')}: make them anew with \`nvidia-ctk cdi generate --device-name-strategy=uuid\`.`
      : '';
  return by === null
    ? fail(
        'Nothing hands the cards to containers: there is no nvidia-container-runtime-hook, and no CDI spec names them.',
        `Install nvidia-container-toolkit and restart the engine.${cdi}`,
      )
    : ok(`The engine hands out cards by their ids (${hook}).`);
}

function judgeParts({ drivers }: GpuProbe): Finding {
  const cut = drivers.flatMap(({ partitioned }) => partitioned);
  const bare = cut.filter(({ parts }) => parts === 0).map(({ uuid }) => uuid);
  if (bare.length > 0) {
    return warn(
      `${bare.join(', ')} is in MIG mode and has no instance: nothing of it can be leased.`,
      'Make instances (`nvidia-smi mig -cgi PROFILE -C`), or end the mode (`nvidia-smi -i UUID -mig 0`).',
    );
  }
  return cut.length === 0
    ? skipped('No card is in MIG mode.')
    : ok(`${cut.length} cards are cut into ${cut.reduce((sum, { parts }) => sum + parts, 0)} instances.`);
}

const computeDevice = '/dev/kfd';

async function judgeDevices({ gpus, renderNodes }: GpuProbe, { groupOf }: GpuChecks): Promise<Finding> {
  if (!gpus.some(({ vendor }) => vendor === 'amd')) {
    return skipped('This host has no AMD card.');
  }
  const devices = [computeDevice, ...renderNodes.values()];
  const groups = await Promise.all(devices.map(groupOf));
  const absent = devices.filter((_, at) => groups[at] === undefined);
  if (absent.length > 0) {
    return fail(
      `${absent.join(', ')} is not there.`,
      'Load the kernel module amdgpu (`modprobe amdgpu`) and read the kernel log.',
    );
  }
  const ofRoot = devices.filter((_, at) => groups[at] === 0);
  return ofRoot.length > 0
    ? fail(
        `${ofRoot.join(', ')} belongs to the group of root, which no workload is in.`,
        "Give it to the groups `render` or `video`, as ROCm's packages do by their udev rule (`udevadm trigger`).",
      )
    : ok(`${devices.join(', ')} are there, each with a group of its own.`);
}

function judgeKernelLog({ drivers }: GpuProbe, { canReadKernelLog }: GpuChecks): Finding {
  if (!drivers.some(({ vendor }) => vendor === 'nvidia')) {
    return skipped('This host has no NVIDIA card.');
  }
  return canReadKernelLog()
    ? ok("The kernel's log can be read.")
    : warn(
        "This user may not read the kernel's log.",
        'Give the service of the agent CAP_SYSLOG (`AmbientCapabilities=CAP_SYSLOG` in its unit).',
      );
}
