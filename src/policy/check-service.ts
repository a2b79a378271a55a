/** The part of the second safety function that is about what a service of a stack has beside a single container. */
import { composeProject, labels } from '../contract/names.ts';
import { pointerToken } from '../contract/pointer.ts';
import type { PathError } from '../contract/validate.ts';
import { type CheckContext, label, serviceOf, unless } from './request-check.ts';

const composePrefix = 'com.docker.compose.';
const maxComposeLabel = 4096;

/**
 * Compose finds the containers of a project by its labels: a service must be found as what it is, and nothing else at
 * all. The remaining ones are for Compose alone.
 */
export function checkComposeLabels(context: CheckContext): PathError[] {
  const fixed: Readonly<Record<string, string | undefined>> = {
    project: composeProject(label(context, labels.instance)),
    service: serviceOf(context),
    oneoff: 'False',
    'container-number': '1',
  };
  const given = Object.entries(context.request.Labels).filter(([name]) => name.startsWith(composePrefix));
  return given.flatMap(([name, value]) => {
    const key = name.slice(composePrefix.length);
    const fine = Object.hasOwn(fixed, key) ? value === fixed[key] : value.length <= maxComposeLabel;
    return unless(
      fine && serviceOf(context) !== undefined,
      `/Labels/${pointerToken(name)}`,
      'label',
      'is not what Compose writes on this service',
    );
  });
}

/** Either none at all, or one that says all of it: a program of the container, run by the engine as the container's user. */
export function checkHealthcheck({ request: { Healthcheck } }: CheckContext): PathError[] {
  if (Healthcheck === undefined) {
    return [];
  }
  const { Test, ...times } = Healthcheck;
  const [kind] = Test;
  const isNone = kind === 'NONE' && Test.length === 1 && Object.keys(times).length === 0;
  const isCommand = kind === 'CMD' && Test.length > 1 && Object.keys(times).length === 4;
  return unless(
    isNone || isCommand,
    '/Healthcheck',
    'healthcheck',
    'must be NONE alone, or CMD with a program, Interval, Timeout, StartPeriod and Retries',
  );
}

/** In its own network alone, under no name that is not its own. */
export function checkNetworking(context: CheckContext): PathError[] {
  const { HostConfig, NetworkingConfig } = context.request;
  const own = [context.name, serviceOf(context)];
  return Object.entries(NetworkingConfig?.EndpointsConfig ?? {}).flatMap(([network, { Aliases }]) => {
    const path = `/NetworkingConfig/EndpointsConfig/${pointerToken(network)}`;
    return [
      ...unless(network === HostConfig.NetworkMode, path, 'network', 'must be the network of the labelled instance'),
      ...Aliases.flatMap((alias, index) =>
        unless(own.includes(alias), `${path}/Aliases/${index}`, 'alias', 'must be the name of container or service'),
      ),
    ];
  });
}
