/** What is kept of jobs; the bytes are files beside the store, by project and sha256. */
import { type Static, Type } from 'typebox';
import { KeptOutput } from '../../../contract/job-outputs.ts';
import { closed, id, nullable, text, time } from './fields.ts';

export const StoredOutput = Type.Object(
  {
    id: id('The output.'),
    job_id: id('Job that it is of.'),
    project_id: id('Project of that job.'),
    node_id: id('Node that has it.'),
    ...KeptOutput.properties,
    state: Type.Enum(['pending', 'stored', 'refused'], {
      description:
        'pending: its node has it, and hands it over. stored: it is here. refused: it is more than may be kept.',
    }),
    reason: nullable(text(2048, 'Why.'), 'Why it was refused; null if it was not.'),
    offered_at: time('When its node first spoke of it.'),
    stored_at: nullable(time('When.'), 'When it was here whole; null until then.'),
  },
  { ...closed, description: 'Something that was kept of a job.' },
);
export type StoredOutput = Static<typeof StoredOutput>;

export const JobOutputUse = Type.Object(
  {
    id: id('The project.'),
    bytes: Type.Integer({
      minimum: 0,
      description: 'Bytes of what is kept of its jobs; what is the same counts once.',
    }),
  },
  { ...closed, description: 'How much a project keeps.' },
);
export type JobOutputUse = Static<typeof JobOutputUse>;
