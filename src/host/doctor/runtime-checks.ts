/** Checks of the programs on this host: approved engine and Compose. */
import { readFile } from 'node:fs/promises';
import type { RuntimeProbe } from '../../contract/workload-oci-runtime-status.ts';
import type { ComposeProbe } from '../compose.ts';
import { flagOf } from '../gvisor-args.ts';
import { knownDrivers } from '../gvisor-cards.ts';
import { askGvisor, type RuntimeProgram } from '../gvisor-program.ts';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, isAtLeast, ok, skipped, warn } from './check.ts';
import { type AskEngine, type EngineReport, withEngine } from './engine-checks.ts';

export interface RuntimeChecks {
  readonly askEngine: AskEngine;
  readonly probeRuntimes: (signal: AbortSignal) => Promise<RuntimeProbe[]>;
  /** Engine runtime behind each sandbox name. */
  readonly sandboxes: Readonly<Record<string, string>>;
  readonly findProgram: (name: string) => Promise<string | null>;
  /** True where jobs may name images by their hash. */
  readonly downloadsImages: boolean;
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
    check(
      'runtime.squashfs',
      'Images that jobs name by their hash are downloaded as squashfs, and unpacked here.',
      () => judgeSquashfs(input),
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

async function judgeSquashfs({ downloadsImages, findProgram }: RuntimeChecks): Promise<Finding> {
  if (!downloadsImages)
    return skipped('Host policy lets no image be downloaded; a job that names one by its hash is refused.');
  const [unpacker, limiter] = [await findProgram('sqfs2tar'), await findProgram('prlimit')];
  if (unpacker && limiter) return ok(`${unpacker} is there.`);
  const [program, package_] = unpacker ? ['prlimit', 'util-linux'] : ['sqfs2tar', 'squashfs-tools-ng'];
  return fail(
    `Host policy lets images be downloaded, and there is no ${program} to unpack them.`,
    `Install ${package_} (bootstrap.sh --squashfs), or take \`payloads\` out of the configuration.`,
  );
}

async function judgeGvisor(input: RuntimeChecks, signal: AbortSignal): Promise<Finding> {
  const { gvisor } = input.sandboxes;
  if (gvisor === undefined) {
    return skipped('Host policy offers no gvisor; a launch that asks for it is refused.');
  }
  const judge = (engine: EngineReport) => judgeOffered(input, gvisor, engine, signal);
  return await withEngine(input.askEngine, judge)(signal);
}

/** Asks the program itself, the cards' drivers it knows, and nothing that it would have to be trusted with. */
async function judgeOffered(
  input: RuntimeChecks,
  name: string,
  { runtimePrograms }: EngineReport,
  signal: AbortSignal,
): Promise<Finding> {
  const answer = await askGvisor(name, runtimePrograms, signal);
  if ('why' in answer) {
    return fail(
      `Host policy offers gvisor, and no launch in it is taken. ${answer.why}`,
      'Install runsc (bootstrap.sh --gvisor), register its path with the engine, or take `gvisor` out of `sandboxes` in the configuration.',
    );
  }
  const noCards = await input.whyNoneInGvisor?.(signal);
  if (noCards !== undefined) {
    return fail(
      `Host policy gives cards to gVisor, which can have none. ${noCards}`,
      'Run bootstrap.sh --gvisor-cards, with a driver that `runsc nvproxy list-supported-drivers` lists, or take `gvisor_cards` out of the configuration.',
    );
  }
  if (await emptiesFiles(runtimePrograms.get(name), signal)) {
    return warn(
      `The runtime ${name} of the engine is without --directfs=false: a task that is root can empty files that it has mounted read-only.`,
      'Add it to `runtimeArgs` of that runtime in daemon.json, then `systemctl reload docker`. It counts for what is started after that.',
    );
  }
  const { path, version } = answer;
  const drivers = await input.nvidiaDrivers(signal);
  const known = drivers.length === 0 ? [] : ((await knownDrivers(path, signal)) ?? []);
  const strange = drivers.filter((driver) => !known.includes(driver));
  return strange.length > 0
    ? warn(
        `${path} ${version} does not know the driver ${strange.join(', ')}: no card can be had in gvisor.`,
        'Install a driver that `runsc nvproxy list-supported-drivers` lists, or a newer runsc.',
      )
    : ok(`${path} is ${version}${drivers.length > 0 ? ', and knows the driver of the cards' : ''}.`);
}

/** True for a gVisor that opens files of the host by itself: it can do otherwise since 2023, and has to be told to. */
async function emptiesFiles(program: RuntimeProgram | undefined, signal: AbortSignal): Promise<boolean> {
  if (program === undefined || flagOf(program.args, 'directfs') === 'false') return false;
  // A script may give it what it is registered without.
  const text = await readFile(program.path, 'latin1').catch(() => '');
  if (text.startsWith('#!') && flagOf(text.split(/\s+/), 'directfs') === 'false') return false;
  const asked = await runProgram(program.path, ['flags'], { timeoutMs: 5000, signal });
  return asked.outcome === 'exited' && /^\s*-directfs$/m.test(`${asked.stdout}\n${asked.stderr}`);
}
