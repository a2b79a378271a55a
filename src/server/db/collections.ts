/**
 * The collections of the store: schema, indexes, and what must be unique. One line here is one table there.
 *
 * An index serves `where` on its fields together or on its first ones. What is unique is an index as well.
 */
import type { Static, TSchema } from 'typebox';
import { Allocation } from './entities/allocation.ts';
import { AppInstance } from './entities/app-instance.ts';
import { Artifact } from './entities/artifact.ts';
import { AuditEntry } from './entities/audit-entry.ts';
import { App, AppVersion, Entitlement } from './entities/catalog.ts';
import { AccessCredential, ServiceAccount } from './entities/credential.ts';
import { IdempotentAnswer } from './entities/idempotent-answer.ts';
import { Job, JobDocument, JobNews } from './entities/job.ts';
import { JobOutputUse, StoredOutput } from './entities/job-output.ts';
import { JoinToken, Node, RecordCursor } from './entities/node.ts';
import { ApiToken, Project } from './entities/project.ts';
import { StoredRelease } from './entities/release.ts';
import { Push, Revision, RevisionManifest } from './entities/revision.ts';
import { Rollout, RolloutNode } from './entities/rollout.ts';
import { Session } from './entities/session.ts';
import { SignOff } from './entities/sign-off.ts';
import { Task, WorkloadFencing } from './entities/task.ts';

interface Collection<S extends TSchema, Field extends string> {
  readonly schema: S;
  readonly indexes: readonly (readonly Field[])[];
  readonly unique: readonly (readonly Field[])[];
}

function collection<
  S extends TSchema,
  const I extends readonly (readonly (keyof Static<S> & string)[])[] = [],
  const U extends readonly (readonly (keyof Static<S> & string)[])[] = [],
>(
  schema: S,
  { indexes, unique }: { indexes?: I; unique?: U } = {},
): Collection<S, I[number][number] | U[number][number]> {
  return { schema, indexes: indexes ?? [], unique: unique ?? [] };
}

export const collections = {
  projects: collection(Project, { unique: [['name']] }),
  api_tokens: collection(ApiToken, { indexes: [['project_id'], ['created_by'], ['expires_at'], ['revoked_at']] }),
  sessions: collection(Session, { indexes: [['token_id'], ['used_at']] }),
  nodes: collection(Node, { indexes: [['allocation_id'], ['status']] }),
  join_tokens: collection(JoinToken, { indexes: [['allocation_id'], ['expires_at']] }),
  record_cursors: collection(RecordCursor),
  access_credentials: collection(AccessCredential, { unique: [['project_id', 'name']] }),
  service_accounts: collection(ServiceAccount, { unique: [['project_id', 'name']] }),
  allocations: collection(Allocation, { indexes: [['project_id', 'state'], ['state'], ['node_id']] }),
  artifacts: collection(Artifact, { indexes: [['lifecycle'], ['trust']], unique: [['name', 'digest']] }),
  apps: collection(App),
  app_versions: collection(AppVersion, { unique: [['app_slug', 'version']] }),
  entitlements: collection(Entitlement, { indexes: [['app_slug', 'project_id']] }),
  app_instances: collection(AppInstance, {
    indexes: [
      ['project_id', 'state'],
      ['allocation_id', 'state'],
      ['node_id', 'state'],
      ['created_by', 'state'],
      ['state'],
    ],
  }),
  pushes: collection(Push, { indexes: [['project_id', 'state'], ['state'], ['ended_at']] }),
  revisions: collection(Revision, { unique: [['project_id', 'sha256']] }),
  revision_manifests: collection(RevisionManifest),
  jobs: collection(Job, {
    indexes: [['project_id', 'state'], ['state'], ['ended_at'], ['revision_sha256', 'project_id']],
  }),
  job_documents: collection(JobDocument),
  job_news: collection(JobNews),
  job_outputs: collection(StoredOutput, {
    indexes: [['project_id', 'sha256', 'state']],
    unique: [['job_id', 'name', 'sha256']],
  }),
  job_output_use: collection(JobOutputUse),
  tasks: collection(Task, {
    indexes: [['node_id', 'state'], ['state'], ['instance_id'], ['ended_at']],
    unique: [['workload_id', 'fencing']],
  }),
  workload_fencing: collection(WorkloadFencing),
  releases: collection(StoredRelease, { unique: [['version'], ['seq']] }),
  rollouts: collection(Rollout, { indexes: [['state'], ['channel', 'state'], ['ended_at']] }),
  rollout_nodes: collection(RolloutNode, { indexes: [['task_id']], unique: [['rollout_id', 'node_id']] }),
  sign_offs: collection(SignOff, { indexes: [['environment']] }),
  audit_entries: collection(AuditEntry, {
    indexes: [['actor'], ['subject'], ['outcome'], ['time'], ['correlation_id']],
  }),
  idempotent_answers: collection(IdempotentAnswer, { indexes: [['expires_at']] }),
} as const;

export type CollectionName = keyof typeof collections;
export const collectionNames = Object.keys(collections) as CollectionName[];

/** What a collection holds. */
export type EntityOf<N extends CollectionName> = Static<(typeof collections)[N]['schema']>;

/** Fields that can be asked for. */
export type IndexOf<N extends CollectionName> =
  (typeof collections)[N] extends Collection<TSchema, infer Field> ? Field : never;
