/**
 * The first safety function for stacks: from the params of a launch to the document that Compose is given.
 *
 *   params ─▶ checkStackParams ─▶ pull ─▶ renderStack ─▶ Compose ─▶ gate ─▶ checkContainerRequest ─▶ engine
 *
 * Pure. Each service is judged and rendered as a single container is, and then written in Compose's words: so a stack can
 * express nothing that a container cannot. The document is complete and holds no secret.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../contract/failures.ts';
import { composeProject, labels, networkName } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import { checkStackParams } from './check-stack.ts';
import { composeService } from './compose-service.ts';
import type { ImageFacts } from './container-request.ts';
import { canonicalJson } from './container-spec.ts';
import { type GivenCards, noCards } from './given-cards.ts';
import type { HostPolicy } from './host-policy.ts';
import { type RenderedContainer, renderContainer, specOf } from './render-container.ts';
import type { RenderInput } from './render-request.ts';
import { containerParams, inDocument, servicesOf } from './stack-service.ts';

export interface StackWanted {
  readonly params: WorkloadComposeLaunchParams;
  readonly policy: HostPolicy;
  /** What the engine holds now, after the pull, by service. */
  readonly images: ReadonlyMap<string, ImageFacts>;
  /** Opened values of `sealed_env`, by service, under the same names. */
  readonly sealedEnv: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly taskId: string;
  readonly fencing: number;
}

export interface StackInput extends StackWanted {
  /** As many as each service asks for, by service. */
  readonly cards: ReadonlyMap<string | null, GivenCards>;
}

export interface RenderedStack {
  readonly project: string;
  /** The whole Compose document. JSON of it is YAML as well. */
  readonly document: Readonly<Record<string, unknown>>;
  /** What Compose's own environment must hold: the opened secrets that the document refers to. */
  readonly env: Readonly<Record<string, string>>;
  /** See `stackSpecOf`; in a label of each container. */
  readonly spec: string;
  /** Name of the container of each service. */
  readonly containers: ReadonlyMap<string, string>;
}

/**
 * sha256 of all that decides the stack, whichever cards it gets: so a launch knows what it left behind before it asks for cards
 * again. Throws what `checkStackParams` throws, and what `specOf` does of an image or an opened value.
 */
export function stackSpecOf(wanted: StackWanted): string {
  const { params, policy } = wanted;
  checkStackParams(params, policy);
  const { display_name: _shownOnly, ...identity } = params.identity;
  const specs = servicesOf(params).map(([name]) => [name, forService(wanted, name, specOf)]);
  return createHash('sha256')
    .update(canonicalJson({ params: { ...params, identity }, containers: Object.fromEntries(specs) }))
    .digest('hex');
}

/** Throws what `stackSpecOf` throws. */
export function renderStack(input: StackInput): RenderedStack {
  const { params } = input;
  const spec = stackSpecOf(input);
  const services = servicesOf(params);
  const cardsOf = (service: string) => input.cards.get(service) ?? noCards;
  const rendered = new Map(
    services.map(([name]) => [
      name,
      forService(input, name, (wanted) => renderContainer({ ...wanted, cards: cardsOf(name) })),
    ]),
  );

  const env: Record<string, string> = {};
  const documents = services.map(([name, service]) => {
    const { name: container, request } = rendered.get(name) as RenderedContainer;
    const secrets = new Map<string, string>();
    for (const [variable, value] of Object.entries(input.sealedEnv.get(name) ?? {})) {
      const secret = `GPUAAS_SECRET_${Object.keys(env).length}`;
      env[secret] = value;
      secrets.set(variable, secret);
    }
    const sealed = { ...request, Labels: { ...request.Labels, [labels.spec]: spec } };
    return [name, composeService({ container, request: sealed, service, cards: cardsOf(name), secrets })] as const;
  });
  const { app_instance_id: instance } = params.identity;
  const project = composeProject(instance);
  const networks = { default: { name: networkName(instance), external: true } };
  return {
    ...{ project, env, spec, document: { name: project, services: Object.fromEntries(documents), networks } },
    containers: new Map([...rendered].map(([name, { name: container }]) => [name, container])),
  };
}

function forService<T>(
  { params, policy, images, sealedEnv, taskId, fencing }: StackWanted,
  service: string,
  work: (container: Omit<RenderInput, 'cards'>) => T,
): T {
  const declared = params.document.services[service];
  const image = images.get(service);
  if (declared === undefined || image === undefined) {
    throw new AgentError('internal', { reason: `Nothing is known of the image of ${service}.` });
  }
  const container = containerParams(params, service, declared);
  try {
    const opened = sealedEnv.get(service) ?? {};
    return work({ params: container, policy, image, sealedEnv: opened, taskId, fencing, service });
  } catch (error) {
    throw withPathsOf(service, error);
  }
}

function withPathsOf(service: string, error: unknown): unknown {
  if (!(error instanceof AgentError) || !Array.isArray(error.detail['errors'])) {
    return error;
  }
  const errors = (error.detail['errors'] as unknown as PathError[]).map((each) => inDocument(service, each));
  const { reason } = error.detail;
  const said = typeof reason === 'string' ? inDocument(service, { path: '', code: '', message: reason }).message : '';
  const detail = { ...error.detail, reason: said, errors: errors.map((each) => ({ ...each })) };
  return new AgentError(error.code, detail, { cause: error });
}
