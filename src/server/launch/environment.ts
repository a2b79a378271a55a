/** What this environment can do: settings of the control plane, as launches and forms see them. */

export interface LaunchEnvironment {
  /** Exposure modes beyond which nothing is offered. `platform_proxy` is declared by manifests and offered by nobody. */
  readonly exposureModes: readonly string[];
  /** Engines whose adapters are switched on. */
  readonly engines: readonly string[];
  /** `promoted` takes promoted artifacts only; `published` takes those that are published as well. */
  readonly artifactPolicy: 'published' | 'promoted';
  /** Registry hosts that artifacts may come from, with their port. */
  readonly registries: readonly string[];
}

/** The switch that lets launches become tasks of nodes: the exact text `true`, and nothing that looks like it. */
export function isLaunchEnabled(value: string | undefined): boolean {
  return value === 'true';
}

interface EnvironmentSettings {
  readonly launchEnabled: boolean;
  readonly registries: readonly string[];
  readonly artifactPolicy?: LaunchEnvironment['artifactPolicy'];
}

export function environmentOf({ launchEnabled, registries, artifactPolicy }: EnvironmentSettings): LaunchEnvironment {
  return {
    exposureModes: ['private'],
    engines: launchEnabled ? ['node_agent', 'docker_compose'] : [],
    artifactPolicy: artifactPolicy ?? 'published',
    registries,
  };
}
