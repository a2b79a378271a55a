/**
 * The proxy of a job whose network is `allow_list`: what the agent may ask the gate for, and what the gate makes of it.
 *
 * The agent says whose proxy it is and what it lets through. All else is the gate's: image, program, networks, limits. So nothing that
 * anybody asks for runs in the one container of a job that has a way out.
 */
import { createHash } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { identifierPattern } from '../contract/identifiers.ts';
import { JobEgress } from '../contract/job-egress.ts';
import { containerName, egressName, egressNetworkName, jobKind, labels } from '../contract/names.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { canonicalJson } from './container-spec.ts';
import { egressVariables } from './egress-settings.ts';
import type { HostPolicy } from './host-policy.ts';
import { isServiceGroup } from './service-group-id.ts';

const closed = { additionalProperties: false } as const;
const Identifier = (description: string) => Type.String({ pattern: identifierPattern, description });

export const EgressRequest = Type.Object(
  {
    project_id: Identifier('Project of the job.'),
    allocation_id: Identifier('Allocation of the job.'),
    task_id: Identifier('Task that carries it out.'),
    fencing: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Its number.' }),
    egress: JobEgress,
  },
  { ...closed, description: 'What may be asked of the gate: no image, no program, no network.' },
);
export type EgressRequest = Static<typeof EgressRequest>;

/** Every path at which this is not the proxy of a job of this host; empty if it may be made. */
export function checkEgressRequest(job: string, body: unknown, policy: HostPolicy): PathError[] {
  const judged = judge(EgressRequest, body);
  if (!judged.ok) return judged.errors;
  const isOurs = judged.value.allocation_id === policy.allocation.id;
  return [
    ...(isOurs ? [] : [{ path: '/allocation_id', code: 'allocation', message: 'must be the allocation of this host' }]),
    ...(isServiceGroup(job) ? [{ path: '', code: 'job', message: 'services that jobs share have no proxy' }] : []),
  ];
}

/** What the gate has made by itself, and knows. */
export interface EgressGround {
  readonly image: string;
  /** Program and arguments in that image. */
  readonly command: readonly string[];
  /** Range of the network of the job. */
  readonly listenIn: string;
  /** Cores that the host has. */
  readonly cores: number;
}

const MiB = 2 ** 20;
const memory = 256 * MiB;
const cores = 2;
/** Nobody. */
const user = '65534:65534';

/** Name and full create request of the proxy. Its spec is in the label: another one is another proxy. */
export function renderEgress(job: string, request: EgressRequest, policy: HostPolicy, ground: EgressGround) {
  const { egress, project_id, allocation_id, task_id, fencing } = request;
  const { allow = [], name_servers: servers } = policy.egress ?? {};
  const settings = { egress, allow, never: [policy.network_pool], listen_in: ground.listenIn };
  const body = {
    Image: ground.image,
    User: user,
    WorkingDir: '/',
    Env: [...egressVariables(settings), `LD_LIBRARY_PATH=${egressLibraries}`],
    Entrypoint: [...ground.command],
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      Mounts: [],
      PortBindings: {},
      NanoCpus: Math.min(cores, ground.cores) * 1e9,
      ...{ Memory: memory, MemorySwap: memory, PidsLimit: 64, ShmSize: MiB },
      Ulimits: [
        { Name: 'nofile', Soft: 4096, Hard: 4096 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      SecurityOpt: ['no-new-privileges'],
      ...{ CapDrop: ['ALL'], Init: true, Privileged: false, IpcMode: 'private', CgroupnsMode: 'private' },
      Runtime: policy.sandboxes.runc ?? 'runc',
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '4m', 'max-file': '2' } },
      ReadonlyRootfs: true,
      // It stands in two networks, and is no way from one into the other but by what it lets through itself.
      Sysctls: { 'net.ipv4.ip_forward': '0', 'net.ipv4.conf.all.accept_source_route': '0' },
      NetworkMode: egressNetworkName(job),
      ...(servers && { Dns: [...servers] }),
    },
  };
  const Labels = {
    ...{ [labels.kind]: jobKind, [labels.instance]: job, [labels.project]: project_id, [labels.service]: egressName },
    ...{ [labels.allocation]: allocation_id, [labels.task]: task_id, [labels.fencing]: String(fencing) },
    ...{ [labels.endpoints]: '', [labels.restart]: 'no:0', [labels.aliases]: '' },
    [labels.spec]: createHash('sha256').update(canonicalJson(body)).digest('hex'),
  };
  return { name: containerName(job, egressName), body: { ...body, Labels } };
}

/** Where the libraries of the program are in its image. */
export const egressLibraries = '/opt/gpuaas/lib';
