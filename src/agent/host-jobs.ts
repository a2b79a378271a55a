/** What jobs need of this host, for whoever carries them out: the daemon, or a single task without one. */
import { join } from 'node:path';
import { BuildLogs } from '../jobs/build-log.ts';
import type { HostInputs, HostInputsOptions } from '../jobs/inputs/host-inputs.ts';
import type { JobInputs } from '../jobs/inputs/job-inputs.ts';
import type { JobMeans } from '../jobs/job-means.ts';
import { memoryRecords } from '../jobs/memory-records.ts';
import { FoundInImages } from '../jobs/preflight.ts';
import { RunningJobs } from '../jobs/running-jobs.ts';
import { ScriptLogs } from '../jobs/script-log.ts';
import { ServiceGroups } from '../jobs/service-groups.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { namesIn } from '../kit/names-in.ts';
import { Slots } from '../kit/slots.ts';
import { buildLimits, type HostPolicy, jobInputsRoot } from '../policy/host-policy.ts';
import type { Journal } from './journal/journal.ts';

export interface HostJobsOptions extends Partial<Pick<JobMeans, 'outputs' | 'receipts' | 'room' | 'trust'>> {
  /** Without one, nothing of a job is remembered after this process. */
  readonly journal?: Pick<Journal, 'jobs'> | undefined;
  /** Without it, no inputs are fetched. */
  readonly fetching?: HostInputsOptions & { readonly policy: HostPolicy };
  /** Folder of what the commands of scripts say; without it nothing of that is kept. */
  readonly scriptLogs?: string;
}

/** What is kept of jobs, until it was handed over. */
export function jobOutputsFolder({ state_dir }: { readonly state_dir: string }): string {
  return join(state_dir, 'jobs');
}

/** What the commands of scripts say, while their jobs are there. */
export function scriptLogFolder({ state_dir }: { readonly state_dir: string }): string {
  return join(state_dir, 'script-logs');
}

export function openHostJobs(options: HostJobsOptions = {}): JobMeans {
  const { journal, fetching, outputs, receipts, room, trust, scriptLogs } = options;
  const builds = fetching?.policy.builds;
  const [records, running] = [journal?.jobs ?? memoryRecords(), new RunningJobs()];
  return {
    ...{ records, running, groups: new ServiceGroups(running, records) },
    ...{ inputs: fetching && inputsWhenNeeded(fetching), outputs, receipts, room, trust },
    scripts: scriptLogs === undefined ? undefined : new ScriptLogs(scriptLogs),
    foundInImages: new FoundInImages(),
    builds: {
      ...{ same: new KeyedMutex(), places: new Slots(builds ? buildLimits(builds).at_once : 1) },
      logs: new BuildLogs(),
    },
  };
}

/** What fetches is loaded for the first input: an agent that fetches nothing has no use for it. */
function inputsWhenNeeded(options: HostInputsOptions & { readonly policy: HostPolicy }): JobInputs {
  let opened: Promise<HostInputs> | undefined;
  const open = () => {
    opened ??= import('../jobs/inputs/host-inputs.ts').then((module) => new module.HostInputs(options));
    return opened;
  };
  return {
    folderOf: (job, volume) => join(jobInputsRoot(options.policy, job), volume),
    provide: async (...given) => await (await open()).provide(...given),
    withRevision: async (...given) => await (await open()).withRevision(...given),
    withPayload: async (...given) => await (await open()).withPayload(...given),
    bring: async (...given) => await (await open()).bring(...given),
    deliver: async (...given) => await (await open()).deliver(...given),
    release: async (job) => await (await open()).release(job),
    prune: async () => {
      if (opened || (await isAnyKept(options.policy))) await (await open()).prune();
    },
  };
}

async function isAnyKept({ inputs }: HostPolicy): Promise<boolean> {
  const folders = ['about', 'partial'].map((name) => namesIn(join(inputs.dir, 'cache', name)));
  return (await Promise.all(folders)).some((names) => names.length > 0);
}
