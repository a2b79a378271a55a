/** Every page of the console that somebody who is signed in can open, for tests that look at all of them. */
import type { Page } from 'playwright-core';

/** Address on a seeded fleet, and heading of level 1. A new page is a new line. */
export const consolePages = [
  ['/', 'Catalog'],
  ['/apps/jupyterlab', 'JupyterLab'],
  ['/apps/vllm-openai', 'vLLM'],
  ['/instances', 'Instances'],
  ['/instances/instance-2', 'Notebook 2'],
  ['/instances/instance-2/events', 'Notebook 2'],
  ['/instances/instance-2/topology', 'Notebook 2'],
  ['/jobs', 'Jobs'],
  ['/jobs/new', 'Submit a job'],
  ['/jobs/job-0', 'Train a model'],
  ['/jobs/job-1', 'Train a model'],
  ['/jobs/job-1/outputs', 'Train a model'],
  ['/jobs/job-1/events', 'Train a model'],
  ['/jobs/job-1/document', 'Train a model'],
  ['/artifacts', 'Artifacts'],
  ['/artifacts/artifact-0', 'runtime-cpu'],
  ['/allocations', 'Allocations'],
  ['/allocations/0190a000-0000-7000-8000-000000000000', 'lab 0'],
  ['/audit', 'Audit log'],
  ['/nodes', 'Nodes'],
  ['/nodes/node-1', 'gpu-1'],
] as const satisfies readonly (readonly [path: string, heading: string])[];

/** Resolves when the page at the address shows what it has. */
export async function openPage(page: Page, url: string, [path, heading]: readonly [string, string]): Promise<void> {
  await page.goto(`${url}/#${path}`);
  await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
  await page.getByRole('main').getByText('Loading').waitFor({ state: 'detached' });
}
