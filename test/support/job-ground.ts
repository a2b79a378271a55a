/** Pages of jobs: what `openInstanceGround` has, jobs of which a test says how they stand, and a real registry for images. */
import { groundImage } from '../../bootstrap/dev/ground.ts';
import type { Job, JobNews } from '../../src/server/db/entities/job.ts';
import { type InstanceGround, openInstanceGround } from './instance-ground.ts';

export interface JobGround extends InstanceGround {
  /** An image that jobs may be of, by its digest. */
  readonly image: string;
  /** Puts a job into the store, with what its node says of it and the document that it came with. */
  addJob(job: Job, news?: JobNews, document?: unknown): Promise<string>;
  /** It becomes another, and its followers hear of it. */
  jobBecomes(job: Job, news: JobNews, message: string): Promise<void>;
}

export async function openJobGround(): Promise<JobGround> {
  const { reference: image } = await groundImage('tiny');
  const ground = await openInstanceGround({ registries: [image.split('/')[0] ?? ''] });
  const { store } = ground.server;
  const happened = (job: Job, message: string) => ({
    ...{ time: new Date().toISOString(), type: 'job.changed', project_id: job.project_id, actor: 'node:node-1' },
    ...{ subject: { kind: 'job' as const, id: job.id }, correlation_id: 'trace-1', message, data: {} },
  });
  return {
    ...ground,
    image,
    addJob: async (job, news, document = {}) => {
      await store.write(async (tx) => {
        await tx.jobs.insert(job);
        await tx.job_documents.insert({ id: job.id, document, sealed_secrets: null });
        if (news) await tx.job_news.insert(news);
        await tx.events.append(happened(job, `${job.name} was submitted.`));
      });
      return job.id;
    },
    jobBecomes: (job, news, message) =>
      store.write(async (tx) => {
        await tx.jobs.put(job);
        await ((await tx.job_news.get(job.id)) ? tx.job_news.put(news) : tx.job_news.insert(news));
        await tx.events.append(happened(job, message));
      }),
  };
}
