/**
 * The second safety function: judges a finished create request, whoever wrote it.
 *
 * It belongs to the gate and assumes nothing about the first one: it shares the rules of `policy/` (what is a plain
 * target, what is a forbidden variable) but no code that renders. Whatever the schema of the request does not name is
 * refused by the schema; what it does name is held here against host policy, against the image and against itself. An
 * engine must be sent the judged value written anew, never the bytes it was read from: engines read JSON more loosely.
 */

import { serviceNamePattern } from '../contract/compose-document.ts';
import { containerName, jobKind, labels, networkName } from '../contract/names.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { checkCards } from './check-cards.ts';
import {
  checkEndpoints,
  checkEnv,
  checkImage,
  checkLabels,
  checkLimits,
  checkPorts,
  checkRuntime,
  isIdentifier,
} from './check-every-container.ts';
import { checkJobRequest } from './check-job-container.ts';
import { checkComposeLabels, checkHealthcheck, checkNetworking } from './check-service.ts';
import { ContainerRequest } from './container-request.ts';
import { projectRoot, secretsRoot, workloadRoot } from './host-policy.ts';
import type { AnyContainerRequest } from './job-request.ts';
import { checkTargets, describeBadVolumes, describeBadWorkingDir, secretsTarget } from './mounts.ts';
import { isReadinessLabel } from './readiness-label.ts';
import { type CheckContext, label, type RequestToCheck, serviceOf, unless, wrong } from './request-check.ts';

/** Every path at which the request is not one this host runs; empty if it may be created. */
export function checkContainerRequest(asked: RequestToCheck): PathError[] {
  return isOfJob(asked.request) ? checkJobRequest(asked) : checkWorkload(asked);
}

/** True for a request that claims to be that of a job: it is judged as one, and as nothing else. */
export function isOfJob(request: unknown): boolean {
  const given = (request as Partial<AnyContainerRequest> | null | undefined)?.Labels;
  return (given as Record<string, unknown> | null | undefined)?.[labels.kind] === jobKind;
}

function checkWorkload({ name, request, policy, image }: RequestToCheck): PathError[] {
  const judged = judge(ContainerRequest, request);
  if (!judged.ok) {
    return judged.errors;
  }
  const context: CheckContext = { name, request: judged.value, policy, image };
  return checks.flatMap((check) => check(context));
}

const checks: readonly ((context: CheckContext) => PathError[])[] = [
  checkNames,
  checkWorkloadLabels,
  checkComposeLabels,
  checkHealthcheck,
  checkNetworking,
  checkImage,
  checkUser,
  checkCards,
  checkEnv,
  checkImageFolders,
  checkMounts,
  checkPorts,
  checkEndpoints,
  checkLimits,
  checkRuntime,
];

const service = new RegExp(serviceNamePattern);

/** Container and network are the instance's own. */
function checkNames(context: CheckContext): PathError[] {
  const instance = label(context, labels.instance);
  const network = context.request.HostConfig.NetworkMode;
  return [
    ...unless(
      context.name === containerName(instance, serviceOf(context)),
      '',
      'name',
      'the name is not that of the labelled instance or service',
    ),
    ...unless(
      network === networkName(instance),
      '/HostConfig/NetworkMode',
      'network',
      'must be the network of the labelled instance',
    ),
  ];
}

function checkWorkloadLabels(context: CheckContext): PathError[] {
  return checkLabels(context, [
    [labels.readiness, isReadinessLabel, 'must be readiness checks'],
    [labels.service, (value) => serviceOf(context) === undefined || service.test(value), 'must name a service'],
  ]);
}

function checkUser({ request, policy: { allocation } }: CheckContext): PathError[] {
  const expected = `${allocation.uid}:${allocation.gid}`;
  return unless(request.User === expected, '/User', 'user', `must be the user of the allocation, ${expected}`);
}

function checkImageFolders({ request, image }: CheckContext): PathError[] {
  const targets = request.HostConfig.Mounts.map(({ Target }) => Target);
  const sentences = [
    ...describeBadVolumes(image.volumes, targets),
    ...describeBadWorkingDir(image.workingDir, targets),
  ];
  return sentences.flatMap((message) => wrong('/Image', 'image_refused', message));
}

/** Every source is one folder of this instance or its project, by name; only secrets may be mounted at their place. */
function checkMounts(context: CheckContext): PathError[] {
  const mounts = context.request.HostConfig.Mounts;
  const secrets = secretsRoot(context.policy, label(context, labels.instance), serviceOf(context));
  const declared = [...mounts.entries()].filter(([, { Source }]) => Source !== secrets);
  const sources = mounts.map(({ Source }) => Source);
  return [
    ...declared.flatMap(([index, { Source }]) =>
      unless(isWorkloadFolder(Source, context), sourcePath(index), 'source', 'is no folder of this workload'),
    ),
    ...mounts.flatMap(({ Source }, index) =>
      unless(sources.indexOf(Source) === index, sourcePath(index), 'repeated', 'is mounted twice'),
    ),
    ...mounts.flatMap(({ Source, Target, ReadOnly }, index) =>
      unless(
        Source !== secrets || (Target === secretsTarget && ReadOnly),
        `/HostConfig/Mounts/${index}/Target`,
        'secrets',
        `must be ${secretsTarget}, read-only`,
      ),
    ),
    ...checkTargets(
      declared.map(([, { Target }]) => Target),
      (position) => `/HostConfig/Mounts/${declared[position]?.[0]}/Target`,
    ),
  ];
}

function sourcePath(index: number): string {
  return `/HostConfig/Mounts/${index}/Source`;
}

function isWorkloadFolder(source: string, context: CheckContext): boolean {
  const { policy } = context;
  const slash = source.lastIndexOf('/');
  const folder = source.slice(0, slash);
  const shared = policy.project_storage && folder === projectRoot(policy, label(context, labels.project));
  const own = folder === workloadRoot(policy, label(context, labels.instance));
  return (own || shared) && isIdentifier(source.slice(slash + 1));
}
