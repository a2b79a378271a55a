/** The way out of a job whose network is `allow_list`: a proxy in its network, which is there before anything of the job runs. */
import { AgentError } from '../contract/failures.ts';
import { egressName } from '../contract/names.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { egressPort } from '../policy/egress-settings.ts';
import type { RunningJob } from './running-job.ts';

/** Makes network and proxy unless they are there; true where the proxy was begun. It listens when this resolves. */
export async function ensureEgress({ id, plan, ground }: RunningJob): Promise<boolean> {
  const { engine, taskId, fencing } = ground;
  const { project_id, allocation_id } = plan.identity;
  if (!plan.egress)
    throw new AgentError('egress.unavailable', { reason: 'The plan does not say what it lets through.' });
  const request = { project_id, allocation_id, task_id: taskId, fencing, egress: plan.egress };
  return await engine.ensureEgress(id, request, toItsEnd());
}

/** By which programs find the proxy: those of its containers for their own names do without it. None without a proxy. */
export function proxyVariables({ plan, parts }: Pick<RunningJob, 'plan' | 'parts'>): Record<string, string> {
  if (plan.network !== 'allow_list') return {};
  const proxy = `http://${egressName}:${egressPort}`;
  const own = ['localhost', '127.0.0.1', ...parts.flatMap(({ id, aliases }) => [id, ...aliases])].join(',');
  return {
    ...{ HTTP_PROXY: proxy, HTTPS_PROXY: proxy, http_proxy: proxy, https_proxy: proxy },
    ...{ NO_PROXY: own, no_proxy: own },
  };
}
