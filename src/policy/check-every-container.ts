/** What the second safety function asks of every container, whatever it belongs to. */
import { identifierPattern } from '../contract/identifiers.ts';
import { jobKind, labels } from '../contract/names.ts';
import { pointerToken } from '../contract/pointer.ts';
import type { PathError } from '../contract/validate.ts';
import { checkCardVariable } from './check-cards.ts';
import { describeBadImageEnv, nameOf, noDevices, whyForbidden } from './environment.ts';
import { recordedImage } from './host-policy.ts';
import { isRepoDigestOf, readAllowedImage } from './image-reference.ts';
import type { AnyContainerRequest } from './job-request.ts';
import { type AnyContext, label, unless, wrong } from './request-check.ts';
import { groupOfLabels } from './service-group.ts';
import { isServiceGroup } from './service-group-id.ts';

export type LabelRule = readonly [label: string, fine: (value: string) => boolean, message: string];

const identifier = new RegExp(identifierPattern);
const specPattern = /^[0-9a-f]{64}$/;
const restartPattern = /^(no|on_failure|always):(0|[1-9][0-9]?|100)$/;
const countPattern = /^(0|[1-9][0-9]{0,15})$/;
const envName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const maxLogMib = 1024;
const maxLogFiles = 20;

export function isIdentifier(text: string): boolean {
  return identifier.test(text);
}

/** Labels that every container has, and whatever else its kind has. */
export function checkLabels(context: AnyContext, others: readonly LabelRule[]): PathError[] {
  const rules: readonly LabelRule[] = [
    [labels.instance, isIdentifier, 'must be an identifier'],
    [
      labels.instance,
      (value) => !isServiceGroup(value) || value === groupOfLabels(context.request.Labels),
      'must be the services of the labelled revision',
    ],
    [labels.project, isIdentifier, 'must be an identifier'],
    [labels.task, isIdentifier, 'must be an identifier'],
    [labels.allocation, (value) => value === context.policy.allocation.id, 'must be the allocation of this host'],
    [labels.spec, (value) => specPattern.test(value), 'must be a sha256 in hex'],
    [
      labels.fencing,
      (value) => countPattern.test(value) && Number.isSafeInteger(Number(value)),
      'must be a number in plain digits',
    ],
    [labels.restart, (value) => restartPattern.test(value), 'must be policy:retries, as on_failure:3'],
    ...others,
  ];
  return rules.flatMap(([name, fine, message]) =>
    unless(fine(label(context, name)), `/Labels/${pointerToken(name)}`, 'label', message),
  );
}

/** A verified digest of an allowed repository, or an image id that the operator listed. */
export function checkImage(context: AnyContext): PathError[] {
  const { request, policy, image } = context;
  if (request.Image.startsWith('sha256:')) {
    const isBuilt =
      request.Labels[labels.kind] === jobKind && (image.builtFor ?? []).includes(label(context, labels.project));
    const fine = request.Image === image.id && (isBuilt || recordedImage(policy, image.id) !== undefined);
    const message = 'is neither among `local_images` of this host nor built here for the project';
    return unless(fine, '/Image', 'local_image', message);
  }
  const read = readAllowedImage(request.Image, policy.registries);
  if (!read.ok) {
    return wrong('/Image', read.code, `is refused: ${read.reason}`);
  }
  const verified = image.repoDigests.some((digest) => isRepoDigestOf(digest, read.ref));
  return unless(verified, '/Image', 'image.digest_mismatch', 'the engine holds no image of this digest');
}

/**
 * No name twice: an engine keeps both entries, and programs differ in which one they see. A bare name may only remove
 * what is forbidden, and must for all that the image sets.
 */
export function checkEnv(context: AnyContext): PathError[] {
  const { request, image } = context;
  const names = request.Env.map(nameOf);
  const present = new Set(names);
  const errors = request.Env.flatMap((entry, index) => {
    const message = describeBadEntry(entry) ?? (names.indexOf(nameOf(entry)) < index ? 'is set twice' : undefined);
    return message === undefined ? [] : wrong(`/Env/${index}`, 'variable', message);
  });
  const left = new Set(image.env.map(nameOf).filter((name) => whyForbidden(name) !== undefined && !present.has(name)));
  return [
    ...errors,
    ...checkCardVariable(context),
    ...[...left].flatMap((name) => wrong('/Env', 'variable', `must remove ${name}, which the image sets`)),
    ...describeBadImageEnv(image.env).flatMap((message) => wrong('/Image', 'image_refused', message)),
  ];
}

function describeBadEntry(entry: string): string | undefined {
  const name = nameOf(entry);
  const forbidden = whyForbidden(name) !== undefined;
  if (entry === name) {
    return forbidden ? undefined : 'must be NAME=value; only forbidden variables may be removed';
  }
  if (!envName.test(name)) {
    return 'has no proper name';
  }
  return forbidden && entry !== noDevices ? 'must not be set' : undefined;
}

export function checkPorts({ request }: AnyContext): PathError[] {
  const { ExposedPorts: exposed, HostConfig } = request;
  const bindings = Object.entries(HostConfig.PortBindings);
  const hostPorts = bindings.map(([, [binding]]) => binding?.HostPort ?? '');
  return [
    ...Object.keys(exposed).flatMap((key) =>
      unless(isPort(key.slice(0, -'/tcp'.length), 1), `/ExposedPorts/${pointerToken(key)}`, 'port', 'is no port'),
    ),
    ...bindings.flatMap(([key], index) => {
      const path = `/HostConfig/PortBindings/${pointerToken(key)}`;
      const hostPort = hostPorts[index] ?? '';
      return [
        ...unless(Object.hasOwn(exposed, key), path, 'port', 'is not exposed'),
        ...unless(isPort(hostPort, 1024), `${path}/0/HostPort`, 'port', 'must be a port from 1024 to 65535'),
        ...unless(hostPorts.indexOf(hostPort) === index, `${path}/0/HostPort`, 'repeated', 'is bound twice'),
      ];
    }),
  ];
}

function isPort(text: string, minimum: number): boolean {
  const port = Number(text);
  return String(port) === text && port >= minimum && port <= 65535;
}

/** The label is what others believe about the endpoints, so it must not name a port that is not bound. */
export function checkEndpoints(context: AnyContext): PathError[] {
  const value = label(context, labels.endpoints);
  const bindings = Object.values(context.request.HostConfig.PortBindings);
  const bound = bindings.map(([binding]) => binding?.HostPort);
  const entries = value === '' ? [] : value.split(',').map((entry) => entry.split(':'));
  const fine = entries.every(
    ([name = '', protocol = '', port, ...more]) =>
      isIdentifier(name) && ['http', 'tcp'].includes(protocol) && bound.includes(port) && more.length === 0,
  );
  const unique = [0, 2].every((part) => new Set(entries.map((entry) => entry[part])).size === entries.length);
  return unless(
    fine && unique,
    `/Labels/${pointerToken(labels.endpoints)}`,
    'label',
    'must name bound ports as name:protocol:host_port',
  );
}

export function checkLimits({ request: { HostConfig: config }, policy: { limits } }: AnyContext): PathError[] {
  const { 'max-size': size, 'max-file': files } = config.LogConfig.Config;
  return [
    ...unless(config.MemorySwap === config.Memory, '/HostConfig/MemorySwap', 'limit', 'must equal Memory'),
    ...unless(config.ShmSize <= config.Memory, '/HostConfig/ShmSize', 'limit', 'must not exceed Memory'),
    ...unless(config.PidsLimit <= limits.pids, '/HostConfig/PidsLimit', 'limit', `must not exceed ${limits.pids}`),
    ...checkUlimits(config.Ulimits, limits.open_files),
    ...unless(
      Number.parseInt(size, 10) <= maxLogMib && Number(files) <= maxLogFiles,
      '/HostConfig/LogConfig/Config',
      'limit',
      `must not exceed ${maxLogFiles} files of ${maxLogMib}m`,
    ),
  ];
}

function checkUlimits(ulimits: AnyContainerRequest['HostConfig']['Ulimits'], openFiles: number): PathError[] {
  const errors = ulimits.flatMap(({ Name, Soft, Hard }, index) => {
    const [least, most] = Name === 'core' ? [0, 0] : [1, openFiles];
    const fine = Soft >= least && Soft <= Hard && Hard <= most;
    return unless(fine, `/HostConfig/Ulimits/${index}`, 'limit', `must be between ${least} and ${most}, soft to hard`);
  });
  const names = new Set(ulimits.map(({ Name }) => Name));
  return [...errors, ...unless(names.size === 2, '/HostConfig/Ulimits', 'limit', 'must set nofile and core')];
}

/** A runtime that stands for no sandbox could be any program of the host. */
export function checkRuntime({ request, policy }: AnyContext): PathError[] {
  const offered = Object.values(policy.sandboxes);
  return unless(offered.includes(request.HostConfig.Runtime), '/HostConfig/Runtime', 'runtime', 'is no sandbox here');
}
