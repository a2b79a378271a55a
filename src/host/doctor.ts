/**
 * The doctor: everything about a host that can make launches fail or leak, each as one small named check.
 *
 * It looks and advises; it changes nothing. Checks run side by side and each has a deadline, so that one that hangs
 * does not hide the others. Those of `doctor/beside-inventory.ts` cost nothing and run with each look at the host.
 */

import { deviceNode } from './card-ways.ts';
import { probeCompose } from './compose.ts';
import type { Check } from './doctor/check.ts';
import { clockChecks } from './doctor/clock-checks.ts';
import { type ControlPlanePlace, controlPlaneChecks } from './doctor/control-plane-checks.ts';
import { type AskEngine, engineChecks } from './doctor/engine-checks.ts';
import { engineFileChecks } from './doctor/engine-file-checks.ts';
import { gpuChecks } from './doctor/gpu-checks.ts';
import { homeCheck } from './doctor/home-check.ts';
import { hasFirewall, installChecks, type UpdateFacts } from './doctor/install-checks.ts';
import { journalCheck } from './doctor/journal-check.ts';
import { machineChecks } from './doctor/machine-checks.ts';
import { networkCheck } from './doctor/network-check.ts';
import { nvidiaChecks } from './doctor/nvidia-checks.ts';
import { privilegeChecks } from './doctor/privilege-checks.ts';
import { runtimeChecks } from './doctor/runtime-checks.ts';
import { cardsOnBus, probeGpus } from './gpus.ts';
import { whyNoneInGvisor } from './gvisor-cards.ts';
import { KernelLog } from './kernel-log.ts';
import { findProgram, searchFolders } from './programs.ts';
import { probeRuntimes, type RuntimeName } from './runtimes.ts';

/** The part of host policy that says something about the host. */
export interface DoctorPolicy {
  readonly allocation: { readonly uid: number; readonly home: string };
  readonly approved_engines: readonly RuntimeName[];
  readonly sandboxes: Readonly<Record<string, string>>;
  readonly gvisor_cards?: boolean | undefined;
  readonly payloads?: object | undefined;
  readonly registries: readonly { readonly host: string }[];
  readonly reserves: { readonly cpu_cores: number; readonly memory_gib: number; readonly disk_gib: number };
  readonly network_pool: string;
  readonly secrets_dir: string;
  readonly inputs: { readonly dir: string };
}

/** What only a running agent knows. */
export interface AgentFacts {
  /** By how many milliseconds the clock of this host is ahead of the control plane's; null before the first contact. */
  clockAheadMs(): number | null;
  /** By how many milliseconds somebody has set the clock since the agent started. */
  clockSetMs(): number;
  /** What is wrong with the journal, in words; null for nothing. */
  journalTrouble(): string | null;
}

export interface DoctorInput {
  readonly policy: DoctorPolicy;
  /** Where the agent keeps its state. */
  readonly stateDir: string;
  /** Asks the engine through the gate; fails with an AgentError that says what is wrong. */
  readonly askEngine: AskEngine;
  /** Undefined where none runs in this process. */
  readonly agent?: AgentFacts | undefined;
  /** Undefined where nobody in this process knows. */
  readonly updates?: (() => UpdateFacts) | undefined;
  /** Undefined where the host has none. */
  readonly controlPlane?: ControlPlanePlace | undefined;
  /** Where the Compose plugin is looked for; the folders of packages if left out. */
  readonly pluginFolders?: readonly string[];
  /** PATH of this process. */
  readonly path: string | undefined;
  /** `/`, or the folder that stands for it in a test. */
  readonly root?: string;
}

/** All checks of this host, in the order in which a person should read them. */
export function hostChecks(input: DoctorInput): Check[] {
  const { policy, stateDir, agent, controlPlane, path, root = '/' } = input;
  const askEngine = once(input.askEngine);
  const probe = once((signal) => probeGpus({ path, root, signal }));
  const nvidia = async (signal: AbortSignal) => (await probe(signal)).gpus.filter(({ vendor }) => vendor === 'nvidia');
  const find = (name: string) => findProgram(name, searchFolders(path));
  const whyNoCards = async (signal: AbortSignal) => {
    const { runtimePrograms: programs } = await askEngine(signal);
    const { gpus } = await probe(signal);
    return await whyNoneInGvisor({ name: policy.sandboxes.gvisor, programs, gpus, find }, signal);
  };
  const pool = policy.network_pool;
  return [
    ...engineChecks({ askEngine, sandboxes: policy.sandboxes, root, hasFirewall: () => hasFirewall(root, pool) }),
    ...engineFileChecks({ root, registries: policy.registries.map(({ host }) => host) }),
    ...runtimeChecks({
      ...{ askEngine, sandboxes: policy.sandboxes, findProgram: find, downloadsImages: policy.payloads !== undefined },
      probeRuntimes: (signal) => probeRuntimes({ path, approved: policy.approved_engines, askEngine, signal }),
      probeCompose: (signal) => probeCompose({ folders: input.pluginFolders, signal }),
      whyNoneInGvisor: policy.gvisor_cards === true ? whyNoCards : undefined,
      nvidiaDrivers: async (signal) => [...new Set((await nvidia(signal)).flatMap(({ driver }) => driver ?? []))],
    }),
    ...gpuChecks({
      ...{ askEngine, probeGpus: probe, cardsOnBus: (maker) => cardsOnBus(maker, root), findProgram: find },
      groupOf: async (device) => (await deviceNode(device, root))?.group,
      canReadKernelLog,
    }),
    ...nvidiaChecks({ root, findProgram: find, hasCards: async (signal) => (await nvidia(signal)).length > 0 }),
    ...machineChecks({
      askEngine,
      reserves: policy.reserves,
      stateDir,
      secretsDir: policy.secrets_dir,
      inputsDir: policy.inputs.dir,
      root,
    }),
    journalCheck({ stateDir, trouble: () => agent?.journalTrouble() }),
    ...clockChecks({
      ...{ root, path },
      aheadMs: () => agent?.clockAheadMs() ?? null,
      setMs: () => agent?.clockSetMs() ?? null,
    }),
    homeCheck(policy.allocation),
    networkCheck({ pool, root }),
    ...installChecks({ root, path, pool, updates: input.updates }),
    ...privilegeChecks(root),
    ...controlPlaneChecks({ place: controlPlane }),
  ];
}

/** One question for all checks that need its answer. The signal of the first one to ask ends it. */
function once<T>(question: (signal: AbortSignal) => Promise<T>): (signal: AbortSignal) => Promise<T> {
  let answer: Promise<T> | undefined;
  return (signal) => {
    answer ??= question(signal);
    return answer;
  };
}

function canReadKernelLog(): boolean {
  using log = KernelLog.open();
  return log !== undefined;
}
