/** Makes the container of a step and starts it, on ports of the host that nobody has. */
import { AgentError } from '../contract/failures.ts';
import { containerName } from '../contract/names.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { renderJobContainer } from '../policy/render-job-container.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { proxyVariables } from './ensure-egress.ts';
import { freePorts } from './host-ports.ts';
import { imageAtHand } from './image-at-hand.ts';
import type { PublishedPort } from './job-record.ts';
import type { Part } from './parts.ts';
import type { ResolvedPart } from './resolve-part.ts';
import type { RunningJob } from './running-job.ts';
import { ensureWaiting } from './waiting-container.ts';

/** How often other ports are tried, where somebody was quicker. */
const mostTries = 5;

/** `found`: its container, where there is one that does not run. */
export async function createStep(
  job: RunningJob,
  part: Part,
  resolved: ResolvedPart,
  found: ContainerFacts | undefined,
): Promise<void> {
  const { engine, log } = job.ground;
  const name = containerName(job.id, part.id);
  let isThere = found !== undefined;
  for (let attempt = 1; ; attempt += 1) {
    if (!isThere) await create(job, part, resolved);
    try {
      await job.ensureNetwork();
      await engine.start(name, toItsEnd());
      return;
    } catch (error) {
      const isTaken = error instanceof AgentError && error.code === 'port.conflict';
      if (!isTaken || attempt >= mostTries) throw error;
      log.info({ container: name, attempt }, 'a port was taken meanwhile, others are tried');
      await engine.remove(name, toItsEnd());
      isThere = false;
    }
  }
}

async function create(job: RunningJob, part: Part, resolved: ResolvedPart): Promise<void> {
  const { ground, plan } = job;
  const { reference, facts: image } = imageAtHand(job, part.image);
  // Written down before they are used, so that whoever takes the job up knows where the step answers.
  job.updateStep(part.id, { ports: await publish(resolved) });
  const waiting = part.script && (await ensureWaiting(job, part));
  // Whoever asks for its log from now on waits for what the commands say.
  if (waiting) job.ground.jobs.scripts?.open(job.id, part.id, plan.log_limits);
  const { name, request } = renderJobContainer({
    ...{ identity: plan.identity, sandbox: plan.sandbox, network: plan.network, log_limits: plan.log_limits },
    ...(plan.caches && { caches: plan.caches }),
    ...{ read_only_root: plan.read_only_root, policy: ground.policy, reference, image },
    ...{ group: job.group, peers: job.parts.flatMap(({ kind, id }) => (kind === 'service' ? [id] : [])) },
    ...{ cards: await cardsOf(job, part), taskId: ground.taskId, fencing: ground.fencing },
    part: {
      ...{ ...resolved, id: part.id, env: { ...proxyVariables(job), ...resolved.env } },
      ...{ resources: part.resources, aliases: part.aliases, restart: part.restart },
      ...(waiting && { entrypoint: waiting.entrypoint, command: [] }),
      mounts: [
        ...part.mounts.map((mount) => ({ ...mount, from: job.sourceOf(mount.volume) })),
        ...(waiting ? [waiting.mount] : []),
      ],
      ports: job.step(part.id).ports,
    },
  });
  const { id } = await ground.engine.create(name, request, toItsEnd());
  ground.log.info({ container: name, container_id: id }, 'container created');
}

async function publish({ ports }: ResolvedPart): Promise<PublishedPort[]> {
  const free = await freePorts(ports.length);
  return ports.map(({ port, protocol }, index) => ({
    ...{ name: `port-${port}`, protocol, container_port: port, host_port: free[index] ?? 0 },
  }));
}

/** Containers that run at one time have cards of their own, those that follow one another have the same. */
async function cardsOf(job: RunningJob, part: Part) {
  const { plan, ground, cards } = job;
  const count = part.resources.gpu_count;
  const group = plan.steps.find(({ id }) => id === part.id)?.group;
  const together = [...plan.services, ...plan.steps.filter((step) => step.group === group)];
  const before = together.slice(
    0,
    Math.max(
      0,
      together.findIndex(({ id }) => id === part.id),
    ),
  );
  const first = before.reduce((sum, { resources }) => sum + resources.gpu_count, 0);
  return await ground.gpus.give(cards.slice(first, first + count), plan.sandbox, toItsEnd());
}
