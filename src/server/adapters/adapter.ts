/**
 * What an execution adapter is: the only part that knows how an engine wants to be told things.
 *
 * Every adapter gets the same seven inputs and its results are read as the same seven outputs, so the product knows
 * values, constraints, entitlements, billing and lifecycle, and no engine.
 */
import type { Identity } from '../../contract/identifiers.ts';
import type { TaskParams, TaskType } from '../../contract/tasks.ts';
import type { RegistryImage } from '../../contract/workload-oci-launch.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { LaunchValues } from '../../manifests/gpuaas/resolve-values.ts';

export interface AdapterInput {
  /** 1: manifest of the app version. */
  readonly profile: WorkloadProfile;
  /** 2: values that passed the checks of a launch. */
  readonly values: LaunchValues;
  /** 3: project and instance. */
  readonly identity: Identity;
  /** 4: where it is placed. */
  readonly placement: { readonly allocation_id: string; readonly node_id: string };
  /** 5: what is pulled. How is not here: the node asks for a credential of minutes when it pulls. */
  readonly image: RegistryImage;
  /** 6: what is mounted where. */
  readonly storage: readonly StorageDecision[];
  /** 7: what is reachable how. */
  readonly exposure: readonly ExposureDecision[];
  /** Secrets that people brought for this launch. */
  readonly secrets: readonly SecretDecision[];
  /** Secrets by path, sealed for the node. */
  readonly sealed_files: Readonly<Record<string, string>>;
  /** Secrets by variable, sealed for the node, where an app cannot read a file. */
  readonly sealed_env: Readonly<Record<string, string>>;
}

export interface SecretDecision {
  /** As the profile declares it, or as the platform calls it. */
  readonly name: string;
  /** File in the container with it, and the variable that names the file; null where none does. */
  readonly path: string;
  readonly env: string | null;
  /** Variables that go with it. */
  readonly beside: Readonly<Record<string, string>>;
}

export interface StorageDecision {
  readonly name: string;
  readonly path: string;
  readonly mode: 'scratch' | 'project_storage';
}

export interface ExposureDecision {
  readonly endpoint: string;
  readonly protocol: 'http' | 'tcp';
  readonly container_port: number;
  /** Port on the loopback address of the host: the only address there is for `private`. */
  readonly host_port: number;
  readonly mode: 'private';
  /** How the workload learns of the token of the endpoint; null where it has none. */
  readonly token: TokenDecision | null;
}

export interface TokenDecision {
  /** File in the container with the token; null where the app reads a variable only. */
  readonly path: string | null;
  /** Variable that names the file; null where none does. */
  readonly env: string | null;
  /** Variable that holds the token itself; null where none does. */
  readonly value_env: string | null;
}

/** A task that an adapter wants to be carried out on the node of the placement. */
export type AdapterTask = {
  [T in TaskType]: { readonly type: T; readonly params: TaskParams<T>; readonly deadline_seconds: number };
}[TaskType];

export type ControlAction = 'stop' | 'start' | 'restart';

export interface ExecutionAdapter {
  /** Name of the engine in manifests. */
  readonly engine: string;
  /** Task types that a node must know. */
  readonly needs: readonly TaskType[];
  /** True if its tasks need Compose on the host. */
  readonly needsCompose: boolean;
  launch(input: AdapterInput): AdapterTask;
  /** `parameters`: the values of the launch. */
  control(identity: Identity, action: ControlAction, parameters: Readonly<Record<string, unknown>>): AdapterTask;
  remove(identity: Identity, keepData: boolean): AdapterTask;
}
