/** Checks of the programs on this host: approved engine and Compose. */
import type { RuntimeProbe } from '../../contract/workload-oci-runtime-status.ts';
import type { ComposeProbe } from '../compose.ts';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, isAtLeast, ok, skipped, warn } from './check.ts';

export interface RuntimeChecks {
  readonly probeRuntimes: (signal: AbortSignal) => Promise<RuntimeProbe[]>;
  /** Engine runtime behind each sandbox name. */
  readonly sandboxes: Readonly<Record<string, string>>;
  readonly findProgram: (name: string) => Promise<string | null>;
  /** Versions of the drivers of NVIDIA's cards; none without a card. */
  readonly nvidiaDrivers: (signal: AbortSignal) => Promise<readonly string[]>;
  /** Why gVisor gets no cards, one sentence or nothing; undefined where host policy gives it none. */
  readonly whyNoneInGvisor: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  readonly probeCompose: (signal: AbortSignal) => Promise<Pick<ComposeProbe, 'version' | 'reason'>>;
}

export function runtimeChecks(input: RuntimeChecks): Check[] {
  const { probeRuntimes, probeCompose } = input;
  return [
    check('runtime.approved', 'Workloads run on engines that host policy approves, and on no other.', async (signal) =>
      judgeRuntimes(await probeRuntimes(signal)),
    ),
    check(
      'runtime.compose',
      'Stacks of several services need Compose version 2; single containers do not.',
      async (signal) => judgeCompose(await probeCompose(signal)),
    ),
    check('runtime.runc', 'It starts every container, and has had holes that lead out of one.', (signal) =>
      judgeRunc(input, signal),
    ),
    check(
      'runtime.gvisor',
      'A sandbox that is offered and cannot start is found by the first who asks for it.',
      (signal) => judgeGvisor(input, signal),
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

async function judgeRunc({ findProgram }: RuntimeChecks, signal: AbortSignal): Promise<Finding> {
  const file = await findProgram('runc');
  const asked = file && (await runProgram(file, ['--version'], { timeoutMs: 5000, signal }));
  const version = asked && asked.outcome === 'exited' ? /version (\S+)/.exec(asked.stdout)?.[1] : undefined;
  if (version === undefined) {
    return skipped('The runc of the engine is none that can be asked here.');
  }
  // Distributions mend 1.1 under its old number, so what is older than that is known to be open, and nothing else is.
  return isAtLeast(version, '1.1')
    ? ok(`${file} is ${version}.`)
    : warn(`${file} is ${version}, which nobody mends any more.`, 'Update the engine and its runc.');
}

/** Asks the program itself, the cards' drivers it knows, and nothing that it would have to be trusted with. */
async function judgeGvisor(input: RuntimeChecks, signal: AbortSignal): Promise<Finding> {
  if (!Object.hasOwn(input.sandboxes, 'gvisor')) {
    return skipped('Host policy offers no gvisor; a launch that asks for it is refused.');
  }
  const noCards = await input.whyNoneInGvisor?.(signal);
  if (noCards !== undefined) {
    return fail(
      `Host policy gives cards to gVisor, which can have none. ${noCards}`,
      'Run bootstrap.sh --gvisor-cards, with a driver that `runsc nvproxy list-supported-drivers` lists, or take `gvisor_cards` out of the configuration.',
    );
  }
  const file = await input.findProgram('runsc');
  if (file === null) {
    // The engine may know it by a path of its own; whether it knows it at all is the business of `engine.sandboxes`.
    return warn(
      'Host policy offers gvisor, and there is no runsc along PATH that could be asked for its version and drivers.',
      'If launches in gvisor fail, install runsc (bootstrap.sh --gvisor), or take `gvisor` out of `sandboxes` in the configuration.',
    );
  }
  const ask = async (...args: string[]) => {
    const asked = await runProgram(file, args, { timeoutMs: 5000, signal });
    return asked.outcome === 'exited' && asked.exitCode === 0 ? asked.stdout : undefined;
  };
  const version = /version (\S+)/.exec((await ask('--version')) ?? '')?.[1];
  if (version === undefined) {
    return fail(
      `Host policy offers gvisor, and ${file} does not tell its version.`,
      'Install runsc (bootstrap.sh --gvisor), or take `gvisor` out of `sandboxes` in the configuration.',
    );
  }
  const drivers = await input.nvidiaDrivers(signal);
  const known = drivers.length === 0 ? '' : ((await ask('nvproxy', 'list-supported-drivers')) ?? '');
  const strange = drivers.filter((driver) => !known.split(/\s+/).includes(driver));
  return strange.length > 0
    ? warn(
        `${file} ${version} does not know the driver ${strange.join(', ')}: no card can be had in gvisor.`,
        'Install a driver that `runsc nvproxy list-supported-drivers` lists, or a newer runsc.',
      )
    : ok(`${file} is ${version}${drivers.length > 0 ? ', and knows the driver of the cards' : ''}.`);
}
