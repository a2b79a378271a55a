/** What this environment can do: settings of the control plane, as launches and forms see them. */
import type { Channel } from '../db/entities/artifact.ts';

export interface LaunchEnvironment {
  /** Exposure modes beyond which nothing is offered. `platform_proxy` is declared by manifests and offered by nobody. */
  readonly exposureModes: readonly string[];
  /** Engines whose adapters are switched on. */
  readonly engines: readonly string[];
  /** `promoted` takes promoted artifacts only; `published` takes those that are published as well. */
  readonly artifactPolicy: 'published' | 'promoted';
  /** With the policy `promoted`: the channel that counts; null where any does. */
  readonly artifactChannel: Channel | null;
  /** Registry hosts that artifacts may come from, with their port. */
  readonly registries: readonly string[];
  /** Origin of this control plane; null where nobody said. */
  readonly url: string | null;
}

/** The switch that lets launches become tasks of nodes: the exact text `true`, and nothing that looks like it. */
export function isLaunchEnabled(value: string | undefined): boolean {
  return value === 'true';
}

interface EnvironmentSettings {
  readonly launchEnabled: boolean;
  readonly publicUrl?: string;
  readonly registries: readonly string[];
  readonly artifactPolicy?: LaunchEnvironment['artifactPolicy'];
  readonly artifactChannel?: Channel | null;
}

export function environmentOf(settings: EnvironmentSettings): LaunchEnvironment {
  const { launchEnabled, registries, artifactPolicy = 'published', artifactChannel = null } = settings;
  return {
    exposureModes: ['private'],
    engines: launchEnabled ? ['node_agent', 'docker_compose'] : [],
    ...{ artifactPolicy, artifactChannel, registries, url: settings.publicUrl ?? null },
  };
}
