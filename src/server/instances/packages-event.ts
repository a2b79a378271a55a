/**
 * The end of what a package installation said, as an event of its instance: why a launch took long, or failed, often stands
 * there. Its host has taken its secrets out; what is named as a credential is taken out here once more.
 */
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadOutput } from '../../contract/workload-output.ts';
import { redactText } from '../../kit/log.ts';

/** Most characters that are kept of it, from its end. */
const maxExcerpt = 4096;

/** Undefined where no packages were installed. */
export function packagesEvent({ task_id, output, failure }: TaskResult) {
  const isInstalled = failure?.code !== 'packages.failed';
  const adapter = (output as Pick<WorkloadOutput, 'adapter'> | null)?.adapter;
  const excerpt = isInstalled ? adapter?.packages_excerpt : failure.detail['excerpt'];
  if (typeof excerpt !== 'string' || excerpt.trim() === '') return undefined;
  return {
    type: 'apps.instance.packages',
    message: isInstalled ? 'Packages were installed.' : 'Packages could not be installed.',
    data: { task_id, excerpt: redactText(excerpt).slice(-maxExcerpt).toWellFormed() },
  };
}
