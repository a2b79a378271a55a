/** Where jobs are in the interface. */
export const jobsPath = '/api/v1/jobs';
export const jobPath = (id: string) => `${jobsPath}/${encodeURIComponent(id)}`;
