/** What is told of a step that failed where its root is read-only, and that said so itself. */
import type { JobPlan } from '../contract/job-plan.ts';
import type { Part } from './parts.ts';

/** As the kernel, most runtimes and Python name it. */
const refusedWrite = /\bEROFS\b|\[Errno 30\]|Read-only file system/i;

/** gVisor asks first who may write to a folder: users other than root hear this of the same write, where the folder is not theirs. */
const denied = /\bEACCES\b|\[Errno 13\]|Permission denied/i;

/** Undefined where the end of its log does not say that such a write was, or may have been, refused. It names where the step can write. */
export function readOnlyHint(
  { read_only_root: isReadOnly, sandbox }: JobPlan,
  part: Part,
  excerpt: string,
): string | undefined {
  const isRefused = refusedWrite.test(excerpt);
  const isDenied = sandbox === 'gvisor' && denied.test(excerpt);
  if (!isReadOnly || !(isRefused || isDenied)) return undefined;
  const places = part.mounts.filter(({ read_only: readOnly }) => !readOnly).map(({ path }) => placeOf(path, part));
  const where = places.length === 0 ? 'nowhere' : `only to ${places.join(', ')}`;
  const said = isRefused
    ? 'that a write to a read-only file system was refused'
    : 'that something was denied, which may be a write to its read-only root';
  return `Its log says ${said}: ${part.id} can write ${where}.`;
}

/** With the variables that the step finds it by. */
function placeOf(path: string, { env }: Part): string {
  const names = Object.entries(env.values).flatMap(([name, value]) => (value === path ? [`$${name}`] : []));
  return names.length === 0 ? path : `${path} (${names.join(', ')})`;
}
