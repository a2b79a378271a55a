/**
 * What a launch form can offer, and why not the rest: allocations, images, choices and free ports.
 *
 * Nothing here decides what is allowed. Every sentence is a refusal that the nine checks give to a launch which would choose
 * it, so that what a form offers is accepted, and what it withholds would be refused for the reason that it shows. Images alone
 * are withheld where they are not meant for the cards that were chosen: who names one by its id may know better.
 */
import type { ParameterValue } from '../../manifests/gpuaas/judge-parameter.ts';
import type { ParameterProperty } from '../../manifests/gpuaas/parameter-schema.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { isResource, leastOf, type ResourceName, resolveValues } from '../../manifests/gpuaas/resolve-values.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { fittingArtifacts, noneUsable, usableArtifacts } from '../launch/artifact-fitness.ts';
import { fitOf, judgeCards } from '../launch/card-fit.ts';
import { checkLaunch } from '../launch/checks.ts';
import { suggestPorts } from '../launch/host-ports.ts';
import type { LaunchRequest } from '../launch/launch-request.ts';
import type { AppFacts, LoadedFacts, Place } from '../launch/load-facts.ts';
import type { LaunchRefusal } from '../launch/refusal.ts';
import { left, takenPorts } from '../launch/resource-fit.ts';
import { judgeFacts } from './judge-launch.ts';

export interface OptionFacts extends AppFacts {
  readonly profile: WorkloadProfile;
  readonly version: NonNullable<AppFacts['version']>;
}

export interface Chosen {
  /** The place that was chosen; undefined while none is. */
  readonly place: Place | undefined;
  /** Cards; undefined for as many as the app has by default. */
  readonly gpuCount: number | undefined;
}

const target = '/placement_intent/target_allocation_id';

/** One of the places of the project, and whether the least that the app needs could be launched there. */
export function placeOption(facts: OptionFacts, place: Place, { gpuCount }: Pick<Chosen, 'gpuCount'>, now: number) {
  const { allocation, neighbours, host, capacity } = place;
  if (!allocation) throw new Error('a place without an allocation');
  const { profile } = facts;
  const wish = { ...leastAmounts(profile), ...(gpuCount === undefined ? {} : { gpu_count: gpuCount }) };
  const judged = judgeFacts(factsAt(facts, place, { resource_overrides: wish }), now);
  const reasons = judged.ok ? [] : judged.refusals.filter(isOfPlace).map(({ message }) => message);
  const free = left(allocation.shape, neighbours);
  return {
    ...{ id: allocation.id, name: allocation.name, eligible: reasons.length === 0, reasons: [...new Set(reasons)] },
    cards: judgeCards(host ?? { cards: [], strangers: new Set() }, neighbours, undefined, 1).map(
      ({ card, reason }) => ({
        ...{ vendor: card.vendor, name: card.name, free: reason === undefined },
      }),
    ),
    total: allocation.shape,
    free:
      capacity === undefined
        ? null
        : {
            gpu_count: Math.min(free.gpu_count, host ? fitOf(host, neighbours, undefined, 1).free : 0),
            cpu_cores: Math.min(free.cpu_cores, capacity.cpu_cores),
            memory_gib: Math.min(free.memory_gib, capacity.memory_gib),
          },
    project_storage: allocation.project_storage,
  };
}

/** Images that fit the chosen cards, newest first; all of the app while nothing is chosen. The first preferred one is taken by default. */
export function artifactOptions(
  { profile, artifacts, environment, version: { lock } }: OptionFacts,
  { place, gpuCount }: Chosen,
) {
  const usable = usableArtifacts(profile, artifacts, environment, lock);
  const gpu_count = gpuCount ?? usualCards(profile);
  const cards = { gpu_count, cards: place?.host?.cards ?? [], lock };
  const fitting = (place ? fittingArtifacts(profile, artifacts, environment, cards) : usable).toReversed();
  const preferred = fitting.find(({ lifecycle }) => lifecycle === 'promoted') ?? fitting[0];
  return {
    artifacts: fitting.map((artifact) => ({ ...artifactOption(profile, artifact), preferred: artifact === preferred })),
    artifact_reason:
      fitting.length > 0
        ? null
        : usable.length === 0
          ? noneUsable(environment, lock, artifacts)
          : `None of its images is for ${gpu_count === 0 ? 'a launch without cards' : 'the cards there'}.`,
  };
}

function artifactOption({ artifacts: declared }: WorkloadProfile, artifact: Artifact) {
  const { id, name, repository, digest, platform_digest, lifecycle, trust, promotions, size_bytes } = artifact;
  const image = Object.keys(declared).find((key) => declared[key]?.artifact_name === name) ?? name;
  const channels = [...new Set(promotions.map(({ channel }) => channel))];
  return { id, name, image, repository, digest, platform_digest, lifecycle, trust, channels, size_bytes };
}

/** Choices of parameters that would be refused where it shall run, whatever else is chosen. */
export function unavailableChoices(facts: OptionFacts, { place }: Pick<Chosen, 'place'>) {
  return Object.entries(facts.profile.parameters.schema.properties).flatMap(([name, { enum: choices = [] }]) => {
    const part = isResource(name) ? 'resource_overrides' : 'config';
    const pointer = `/${part}/${name}`;
    return choices.flatMap((value) => {
      const checked = checkLaunch(factsAt(facts, place, { [part]: { [name]: value } }));
      const [first] = checked.ok ? [] : checked.refusals.filter((each) => each.path === pointer && isOfFacts(each));
      return first ? [{ pointer, value, reason: first.message }] : [];
    });
  });
}

export function portOptions({ profile }: OptionFacts, { place }: Pick<Chosen, 'place'>) {
  const taken = takenPorts(place?.neighbours ?? []);
  return {
    taken: [...taken.keys()].toSorted((a, b) => a - b),
    suggested: suggestPorts(profile, new Set(taken.keys())),
  };
}

const nowhere: Place = { allocation: undefined, node: undefined, neighbours: [], host: undefined, capacity: undefined };

function factsAt(facts: OptionFacts, place: Place = nowhere, chosen: Partial<LaunchRequest>): LoadedFacts {
  const { version, profile } = facts;
  const request: LaunchRequest = {
    ...{ app_slug: version.app_slug, app_version: version.version, display_name: profile.profile.display_name },
    ...(place.allocation ? { placement_intent: { target_allocation_id: place.allocation.id } } : {}),
    ...chosen,
  };
  return { ...facts, ...place, request };
}

/** A reason that lies in the place, and not in a choice that could be another. */
function isOfPlace(refusal: LaunchRefusal): boolean {
  return isOfFacts(refusal) && (refusal.path === target || refusal.path.startsWith('/resource_overrides/'));
}

/** What the manifest says of a value the form knows itself, by `resolveValues`. */
function isOfFacts({ code }: LaunchRefusal): boolean {
  return code !== 'launch.values_invalid';
}

function leastAmounts(profile: WorkloadProfile): Record<ResourceName, number> {
  const least = (name: ResourceName) =>
    Math.max(leastOf(profile, name), smallest(profile.parameters.schema.properties[name]));
  return { gpu_count: least('gpu_count'), cpu_cores: least('cpu_cores'), memory_gib: least('memory_gib') };
}

function smallest({ enum: choices, minimum = 0 }: Partial<ParameterProperty> = {}): number {
  return Math.max(minimum, ...(choices ? [Math.min(...choices.map((choice: ParameterValue) => Number(choice)))] : []));
}

/** Cards where nobody says otherwise. */
function usualCards(profile: WorkloadProfile): number {
  const resolved = resolveValues(profile, { config: {}, resource_overrides: {} });
  return (resolved.ok ? resolved.values : resolved.sound).resources.gpu_count ?? 0;
}
