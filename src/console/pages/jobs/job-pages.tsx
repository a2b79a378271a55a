/** The pages of jobs come on their own, like those of instances, with whom they share the log. */
import type { Pages } from '../later.tsx';
import { JobPage } from './job-page.tsx';
import { JobsPage } from './jobs-page.tsx';
import { SubmitPage } from './submit-page.tsx';
import './jobs.css';

export const pages: Pages = {
  jobs: ({ parts: [, id, tab] }) =>
    (id === undefined && <JobsPage />) ||
    (id === 'new' && tab === undefined && <SubmitPage />) ||
    (id !== undefined && <JobPage key={id} id={id} tab={tab} />),
};
