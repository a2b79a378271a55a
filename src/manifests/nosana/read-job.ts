/** A job definition as whoever takes jobs in wants it, whatever its dialect. */

import type { ReadJob } from '../job-dialects.ts';
import { cardMemoryMib } from './card-memory.ts';
import type { RunOp } from './definition.ts';
import { flowStateOf } from './flow-state.ts';
import { readDefinition } from './read-definition.ts';
import { resourcesOf } from './resources.ts';
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
    secretsAt: runs.flatMap(({ op, index }) => secretsOf(op, `/ops/${index}/args`)),
    plan: (wish) => planOf(definition, wish),
    nameOf: (step) => names.get(step) ?? step,
    flowState: (report, queuedAt, logOf) => flowStateOf(definition, report, queuedAt, logOf),
  };
}

function secretsOf({ args }: RunOp, path: string): string[] {
  const { username, password } = args.authentication?.docker ?? {};
  return [
    ...(username === undefined ? [] : [`${path}/authentication/docker/username`]),
    ...(password === undefined ? [] : [`${path}/authentication/docker/password`]),
    ...resourcesOf(args).flatMap(({ resource, index }) => {
      const at = `${path}/resources/${index}`;
      if (resource.type === 'HF') return resource.accessToken === undefined ? [] : [`${at}/accessToken`];
      return resource.type === 'S3' && resource.IAM ? [`${at}/IAM/ACCESS_KEY_ID`, `${at}/IAM/SECRET_ACCESS_KEY`] : [];
    }),
  ];
}
