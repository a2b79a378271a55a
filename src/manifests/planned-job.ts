/** What a document of any dialect becomes, and what whoever submits it decides. */
import type { ExeScript } from '../contract/exe-script.ts';
import type { BuildImage } from '../contract/job-build.ts';
import type { CommandPolicy, JobPlan } from '../contract/job-plan.ts';
import type { SignedManifest } from '../contract/payload-manifest.ts';
import type { RegistryImage } from '../contract/workload-oci-launch.ts';

/** What names of images have been resolved to, by their whole name. */
export type Pins = Readonly<Record<string, Pick<RegistryImage, 'reference' | 'media_type'>>>;

export interface PlanWish {
  readonly identity: JobPlan['identity'];
  readonly sandbox: JobPlan['sandbox'];
  /** What the containers of one group get together. `gpu_count`: cards of each step that asks for one. */
  readonly resources: JobPlan['resources'];
  readonly on_failure: JobPlan['on_failure'];
  readonly deadline_seconds: number;
  readonly keep: boolean;
  readonly pins: Pins;
  /** Of contract/plan-parts.ts, those that the agent carries out which the plan is for; all if absent. */
  readonly parts?: readonly string[];
  /** Only for projects, which have no images of their own but are built. */
  readonly build?: RevisionWish;
  /** Only for manifests that say what may be run, and not what is. */
  readonly batch?: BatchWish;
}

/** What is carried out, and the manifest as it was signed. */
export interface BatchWish {
  readonly script: ExeScript;
  /** Made of the manifest, and not signed, if absent. */
  readonly signed_manifest?: SignedManifest;
  readonly command_policy?: CommandPolicy;
}

/** The revision of a project that a job is of, and what that job alone has. */
export interface RevisionWish extends Pick<BuildImage, 'revision_sha256' | 'revision_bytes' | 'bases'> {
  /** Whether what the build runs has a way out; `none` if absent. */
  readonly network?: BuildImage['network'];
  /** JSON, which the task finds as it stands here; an empty object if absent. */
  readonly payload?: string;
}

/** A credential, and what it is for. */
export interface JobSecret {
  readonly for: 'image' | 'input';
  /** Id of that image or input in the plan. */
  readonly id: string;
  readonly value: Readonly<Record<string, string>>;
}

export interface PlannedJob {
  readonly plan: JobPlan;
  /** What has no digest yet: `path` is where the document names it, `reference` its whole name. */
  readonly unresolved: readonly { readonly path: string; readonly reference: string }[];
  /** Credentials of the document, for whoever seals them to the node: they are nowhere in the plan. */
  readonly secrets: readonly JobSecret[];
  /** Where the document names each image, by its id in the plan. */
  readonly imagePaths: Readonly<Record<string, string>>;
}
