/** What is told of a step that failed where its root is read-only, and that said so itself. */
import type { JobPlan } from '../contract/job-plan.ts';
import type { Part } from './parts.ts';

/** As the kernel, most runtimes and Python name it. */
const refusedWrite = /\bEROFS\b|\[Errno 30\]|Read-only file system/i;

/** Undefined where the end of its log does not say that such a write was refused. It names where the step can write. */
export function readOnlyHint({ read_only_root: isReadOnly }: JobPlan, part: Part, excerpt: string): string | undefined {
  if (!isReadOnly || !refusedWrite.test(excerpt)) return undefined;
  const places = part.mounts.filter(({ read_only: readOnly }) => !readOnly).map(({ path }) => placeOf(path, part));
  const where = places.length === 0 ? 'nowhere' : `only to ${places.join(', ')}`;
  return `Its log says that a write to a read-only file system was refused: ${part.id} can write ${where}.`;
}

/** With the variables that the step finds it by. */
function placeOf(path: string, { env }: Part): string {
  const names = Object.entries(env.values).flatMap(([name, value]) => (value === path ? [`$${name}`] : []));
  return names.length === 0 ? path : `${path} (${names.join(', ')})`;
}
