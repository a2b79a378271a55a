/** A job definition as whoever takes jobs in wants it, whatever its dialect. */

import type { ReadJob } from '../job-dialects.ts';
import { secretMark } from '../secret-mark.ts';
import { hiddenIn } from './address.ts';
import { cardMemoryMib } from './card-memory.ts';
import type { JobDefinition, RunOp } from './definition.ts';
import { flowStateOf } from './flow-state.ts';
import { readDefinition } from './read-definition.ts';
import { type Resource, resourcesOf } from './resources.ts';
import { stepIds } from './step-ids.ts';
import { planOf } from './to-plan.ts';

export function readNosanaJob(document: unknown): ReadJob {
  const read = readDefinition(document);
  if (!read.ok) return read;
  const { definition, warnings } = read;
  const runs = definition.ops.flatMap((op, index) => (op.type === 'container/run' ? [{ op, index }] : []));
  const names = new Map([...stepIds(runs.map(({ op }) => op.id))].map(([name, step]) => [step, name]));
  return {
    ...{ ok: true, warnings },
    gpuMemoryMib: cardMemoryMib(definition),
    hidden: Object.assign({}, ...runs.map(({ op, index }) => hiddenOf(op, `/ops/${index}/args`, definition))),
    plan: (wish) => planOf(definition, wish),
    nameOf: (step) => names.get(step) ?? step,
    flowState: (report, queuedAt, logOf) => flowStateOf(definition, report, queuedAt, logOf),
  };
}

function hiddenOf({ args }: RunOp, path: string, definition: JobDefinition): Record<string, string> {
  const { username, password } = args.authentication?.docker ?? {};
  const whole = [
    ...(username === undefined ? [] : [`${path}/authentication/docker/username`]),
    ...(password === undefined ? [] : [`${path}/authentication/docker/password`]),
    ...resourcesOf(args).flatMap(({ resource, index }) => {
      const at = `${path}/resources/${index}`;
      if (resource.type === 'HF') return resource.accessToken === undefined ? [] : [`${at}/accessToken`];
      return resource.type === 'S3' && resource.IAM ? [`${at}/IAM/ACCESS_KEY_ID`, `${at}/IAM/SECRET_ACCESS_KEY`] : [];
    }),
  ];
  const addresses = resourcesOf(args).flatMap(({ resource, index }) =>
    resource.type === 'S3' ? addressesOf(resource, `${path}/resources/${index}`) : [],
  );
  const links = addresses.map(({ text, at }) => hiddenIn(text, at, definition));
  return Object.assign(Object.fromEntries(whole.map((at) => [at, secretMark])), ...links);
}

function addressesOf({ url, bucket, buckets = [] }: Extract<Resource, { type: 'S3' }>, path: string) {
  return [
    ...(url === undefined ? [] : [{ text: url, at: `${path}/url` }]),
    ...(bucket === undefined ? [] : [{ text: bucket, at: `${path}/bucket` }]),
    ...buckets.map((each, index) => ({ text: each.url, at: `${path}/buckets/${index}/url` })),
  ];
}
