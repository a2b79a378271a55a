/**
 * Gives a free card to a container and has it look: the whole way of a launch, through the gate, with an image that this host has
 * launched before and still holds, so nothing is downloaded. The container is removed again, whatever it saw; one that stays is told.
 */
import { AgentError } from '../../contract/failures.ts';
import type { Gpu } from '../../contract/gpus.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { RegistryImage, WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import { type CheckResult, type Finding, fail, ok, skipped } from '../../host/doctor/check.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import type { Journal } from '../journal/journal.ts';

export interface SampleParts {
  readonly allocationId: string;
  readonly journal: Pick<Journal, 'tasks'>;
  readonly engine: Pick<ContainerEngine, 'image'>;
  readonly cards: () => readonly Gpu[];
  /** Carries out a bare task, to its end. */
  readonly run: (task: { readonly type: string; readonly params: object }) => Promise<TaskResult>;
}

const name = 'gpu.sample';
const why = 'Only a container that uses a card shows that driver, toolkit and engine agree.';

/** The verdict where there is nothing to ask. */
export function sampleSkipped(found: string): CheckResult {
  return { name, why, ...skipped(found) };
}

const instance = 'doctor-gpu-sample';
const project = 'doctor';
/** Where images look for programs, and where drivers of machines that are images themselves are mounted. */
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/nvidia/bin';
/** What the tools of each maker put into a container, or bring as a device. */
const look: Readonly<Record<Gpu['vendor'], readonly string[]>> = {
  nvidia: ['nvidia-smi', '-L'],
  amd: ['test', '-c', '/dev/kfd'],
};

export async function sampleGpu(parts: SampleParts, signal: AbortSignal): Promise<CheckResult> {
  return { name, why, ...(await judge(parts, signal)) };
}

async function judge(parts: SampleParts, signal: AbortSignal): Promise<Finding> {
  const cards = parts.cards();
  const card = cards.find(({ health, held_by }) => health === 'healthy' && held_by === null);
  if (card === undefined) {
    return skipped(cards.length === 0 ? 'This host has no card.' : 'No card is free that is well.');
  }
  const image = await imageAtHand(parts, signal);
  if (image === undefined) {
    return skipped('This host holds no image that it has launched from a registry; launch an app, then ask again.');
  }
  const identity = {
    ...{ project_id: project, app_instance_id: instance, allocation_id: parts.allocationId },
    ...{ app_slug: 'doctor', app_version: '1', display_name: 'A sample of the doctor' },
  };
  const launch = paramsOf(identity, image, look[card.vendor]);
  const removal = { identity, keep_data: false, grace_seconds: 0 };
  let removed: TaskResult;
  let seen: TaskResult;
  try {
    seen = await parts.run({ type: 'workload.oci_launch', params: launch });
  } finally {
    removed = await parts.run({ type: 'workload.oci_remove', params: removal });
  }
  if (removed.failure !== null) {
    return fail(
      `The container of the sample stays, and with it the card: ${removed.failure.message} [${removed.failure.code}]`,
      `Look at \`node-agent explain ${instance}\`, then ask again: it is removed first.`,
    );
  }
  if (seen.failure === null) {
    const command = look[card.vendor].join(' ');
    return ok(`A container of ${image.reference.split('@')[0]} was given a card and saw it (${command}).`);
  }
  if (seen.failure.code === 'gpu.none_free') return skipped('No card is free that is well.');
  if (seen.failure.code === 'resources.exceeded') {
    return skipped('This host has no processor or memory to spare for a sample; ask again when something has ended.');
  }
  const { answer } = seen.failure.detail;
  const said = typeof answer === 'string' ? ` ${look[card.vendor].join(' ')}: ${answer}.` : '';
  return fail(
    `A container that was given a card did not get to see it: ${seen.failure.message}${said} [${seen.failure.code}]`,
    `Look at gpu.runtime and gpu.toolkit, and at \`node-agent explain ${instance}\`.`,
  );
}

/** Of the newest launch whose image the engine still has. */
async function imageAtHand({ journal, engine }: SampleParts, signal: AbortSignal): Promise<RegistryImage | undefined> {
  const seen = new Set<string>();
  for (const { envelope } of journal.tasks({ limit: 200 })) {
    if (envelope.type !== 'workload.oci_launch') continue;
    const { image } = envelope.params as WorkloadOciLaunchParams;
    if (image.kind !== 'registry' || seen.has(image.reference)) continue;
    seen.add(image.reference);
    if (await held(engine, image.reference, signal)) return image;
  }
  return undefined;
}

/** One that is not allowed any more counts as one that is not there. */
async function held(engine: SampleParts['engine'], reference: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await engine.image(reference, signal)) !== undefined;
  } catch (error) {
    if (error instanceof AgentError) return false;
    throw error;
  }
}

function paramsOf(
  identity: WorkloadOciLaunchParams['identity'],
  image: RegistryImage,
  command: readonly string[],
): WorkloadOciLaunchParams {
  return {
    ...{ identity, image, env: { PATH: path }, mounts: [], ports: [], python_packages: [], sandbox: 'runc' },
    ...{ entrypoint: ['sleep'], command: ['120'] },
    resources: { gpu_count: 1, cpu_cores: 0.1, memory_gib: 0.25 },
    readiness: [{ type: 'exec', command: [...command], timeout_seconds: 30 }],
    restart: { policy: 'no', max_retries: 0 },
    log_limits: { max_size_mib: 1, max_files: 1 },
  };
}
