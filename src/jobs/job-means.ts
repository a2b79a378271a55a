/** What carrying out a job needs beyond containers. */
import type { KeyedMutex } from '../kit/mutex.ts';
import type { Slots } from '../kit/slots.ts';
import type { BuildLogs } from './build-log.ts';
import type { EngineRoom } from './engine-room.ts';
import type { JobInputs } from './inputs/job-inputs.ts';
import type { JobRecords } from './job-record.ts';
import type { ManifestTrust } from './judge-manifest.ts';
import type { JobOutputs, JobReceipts } from './outputs/job-outputs.ts';
import type { FoundInImages } from './preflight.ts';
import type { RunningJobs } from './running-jobs.ts';
import type { ScriptLogs } from './script-log.ts';
import type { ServiceGroups } from './service-groups.ts';

export interface JobMeans {
  readonly records: JobRecords;
  readonly running: RunningJobs;
  /** Services that jobs of one revision share. */
  readonly groups: ServiceGroups;
  /** Undefined where this process fetches nothing: plans with inputs are refused. */
  readonly inputs: JobInputs | undefined;
  /** Undefined where this process keeps nothing: plans with outputs are refused, and logs go with their containers. */
  readonly outputs: JobOutputs | undefined;
  readonly builds: {
    /** One build of a revision at a time. */
    readonly same: KeyedMutex;
    /** As many as the gate builds at once. */
    readonly places: Slots;
    readonly logs: BuildLogs;
  };
  /** Undefined where this process keeps nothing of what the commands of scripts say. */
  readonly scripts: ScriptLogs | undefined;
  /** Of this process alone. */
  readonly foundInImages: FoundInImages;
  /** Undefined where this process takes nothing away for others. */
  readonly room: EngineRoom | undefined;
  /** Undefined where nobody is asked whose manifests may be carried out: plans that bring one are refused. */
  readonly trust: ManifestTrust | undefined;
  /** Undefined where nothing is signed. */
  readonly receipts: JobReceipts | undefined;
}
