/** Records of jobs in memory that tell of each change what a journal has sent. */
import type { RecordBody } from '../../src/contract/records.ts';
import { type JobRecords, jobReport } from '../../src/jobs/job-record.ts';
import { memoryRecords } from '../../src/jobs/memory-records.ts';

export function toldRecords(tell: (body: RecordBody<'job.report'>) => void): JobRecords {
  const records = memoryRecords();
  return {
    ...records,
    put: (id, record, before) => {
      records.put(id, record, before);
      const job = records.get(id);
      if (job) tell(jobReport(job));
    },
  };
}
