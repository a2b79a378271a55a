/** A control plane with one host and a registry, for jobs: the registry is a stand-in, the host an agent of which tests say every word. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { KeptOutput } from '../../src/contract/job-outputs.ts';
import type { JobReport } from '../../src/contract/job-report.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import { jobOutputsPath } from '../../src/contract/signing.ts';
import type { TaskEnvelope, TaskResult } from '../../src/contract/task-envelope.ts';
import { taskTypes } from '../../src/contract/tasks.ts';
import type { Node } from '../../src/server/db/entities/node.ts';
import { eventually } from './eventually.ts';
import { atFileEnd } from './file-end.ts';
import { aNode, runtimeStatus } from './launch-samples.ts';
import { makeAgentKeys, ScriptedAgent } from './scripted-agent.ts';
import { anAllocation } from './store-samples.ts';
import { type Answered, testServer } from './test-server.ts';

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

const config = JSON.stringify({ os: 'linux', architecture: 'amd64' });
const image = JSON.stringify({
  schemaVersion: 2,
  config: { digest: digestOf(config), size: config.length },
  layers: [],
});
const index = JSON.stringify({
  manifests: [{ digest: digestOf(image), mediaType: manifestType, platform: { os: 'linux', architecture: 'amd64' } }],
});

/** A registry that has `team/hello:1`, an index of one image, and `team/secret:1` for an account alone. */
async function startRegistry() {
  const asked: { readonly url: string; readonly authorization: string | undefined }[] = [];
  const server = createServer((request, response) => {
    const { url = '', headers } = request;
    asked.push({ url, authorization: headers.authorization });
    if (url.startsWith('/token')) {
      const isKnown = headers.authorization === `Basic ${Buffer.from('ada:lovelace').toString('base64')}`;
      const token = isKnown || !url.includes('team%2Fsecret') ? 'pull-token' : 'nothing';
      response.end(JSON.stringify({ token: `${token}-${isKnown}` }));
      return;
    }
    if (!isAllowed(request)) {
      const realm = `http://${headers.host}/token`;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="registry"` }).end();
      return;
    }
    const found = contentAt(url);
    response.writeHead(found ? 200 : 404, { 'content-type': found?.type ?? 'text/plain' }).end(found?.text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atFileEnd(async () => void server.close());
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function isAllowed({ url = '', headers: { authorization = '' } }: IncomingMessage): boolean {
  return (
    authorization === 'Bearer pull-token-true' || (authorization.startsWith('Bearer pull') && !url.includes('secret'))
  );
}

function contentAt(url: string): { type: string; text: string } | undefined {
  if (/\/manifests\/1$/.test(url)) return { type: 'application/vnd.oci.image.index.v1+json', text: index };
  if (url.endsWith(digestOf(image))) return { type: manifestType, text: image };
  return url.endsWith(digestOf(config)) ? { type: 'application/json', text: config } : undefined;
}

export async function jobServer() {
  const registry = await startRegistry();
  const server = await testServer({ registries: [registry.host] });
  const keys = makeAgentKeys();
  const allocation = anAllocation({ node_id: 'node-1' });
  const types = taskTypes.map((type) => ({ type, version: 1 }));
  const { kid } = server.context.keys.task.current;
  const node: Node = aNode({
    ...{ id: 'node-1', allocation_id: allocation.id, identity_key: keys.identity_key, wrapping_key: keys.wrapping_key },
    ...{ epoch_confirmed: 0, task_kid: kid, task_types: types, runtime: runtimeStatus() },
  });
  await server.store.write(async (tx) => {
    await tx.allocations.insert(allocation);
    await tx.nodes.insert(node);
  });
  const { call } = server;
  const job = async (id: string): Promise<Answered['body']> => (await call('GET', `/api/v1/jobs/${id}`)).body;
  return {
    ...{ ...server, registry, keys, allocation, imageDigest: digestOf(image), job },
    hello: (more: object = {}) => definition(`${registry.host}/team/hello:1`, more),
    submit: (document: unknown, more: object = {}, as = 'member', headers: Record<string, string> = {}) =>
      call('POST', '/api/v1/jobs', { as, body: { document, ...more }, headers }),
    reaches: async (id: string, ...states: string[]) => {
      await eventually(async () => expect(states).toContain((await job(id)).state));
      return await job(id);
    },
    connect: (epoch = 0) => connect(server.url, keys, epoch),
  };
}

export function definition(image: string, more: object = {}) {
  return {
    ...{ version: '0.1', type: 'container' },
    ops: [{ type: 'container/run', id: 'hello', args: { image, cmd: 'echo hello', ...more } }],
  };
}

/** The host, with a session and room for tasks. */
async function connect(url: string, keys: ReturnType<typeof makeAgentKeys>, epoch: number) {
  const agent = new ScriptedAgent(url);
  atFileEnd(async () => agent.socket.terminate());
  const types = taskTypes.map((type) => ({ type, version: 1 }));
  await agent.hello(keys, 'node-1', epoch, { task_types: types });
  const welcome = await agent.next('welcome');
  agent.send({ type: 'confirm', epoch: welcome.epoch });
  agent.send({ type: 'pull', credits: 64, received: 0 });
  const journal_id = `journal-${epoch}`;
  let seq = 0;
  const record = (kind: 'job.report' | 'task.progress' | 'task.result', body: unknown) => {
    seq += 1;
    agent.send({ type: 'record', journal_id, seq, kind, at: new Date().toISOString(), body });
  };
  return {
    agent,
    epoch: welcome.epoch,
    report: (task: TaskEnvelope, report: Partial<JobReport>, more: { readonly receipt?: string } = {}) =>
      record('job.report', {
        ...{ workload_id: task.workload_id, task_id: task.task_id, endpoints: [], outputs: [], ...more },
        report: { ...aReport, ...report },
      }),
    tell: ({ workload_id, task_id }: TaskEnvelope, type: string, message: string) => {
      const event = { time: at, type, phase: null, message, values: {} };
      record('task.progress', { workload_id, task_id, event } satisfies RecordBody<'task.progress'>);
    },
    keep: (task: TaskEnvelope, content: string, output: Omit<KeptOutput, 'sha256' | 'bytes'>) =>
      handOver({ url, bearer: welcome.bearer }, task.workload_id, content, output),
    end: (task: TaskEnvelope, result: Partial<TaskResult>) =>
      record('task.result', {
        ...{ workload_id: task.workload_id, type: task.type, fencing: task.fencing },
        result: { ...aResult(task.task_id), ...result },
      }),
  };
}

/** What a host has kept of a job, which the control plane has then. */
async function handOver(
  { url, bearer }: { readonly url: string; readonly bearer: string },
  job_id: string,
  content: string,
  about: Omit<KeptOutput, 'sha256' | 'bytes'>,
): Promise<KeptOutput> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const output: KeptOutput = { ...about, sha256, bytes: Buffer.byteLength(content) };
  const send = async (method: string, path: string, type: string, body: string) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': type };
    const response = await fetch(`${url}${jobOutputsPath}${path}`, { method, headers, body });
    expect(await response.json()).toMatchObject({ refused: null });
  };
  await send('POST', '', 'application/json', JSON.stringify({ job_id, output }));
  await send('PUT', `/${job_id}/${sha256}?offset=0`, 'application/octet-stream', content);
  return output;
}

const at = '2026-11-25T10:00:01.000Z';
export const aStep: JobReport['steps'][number] = {
  ...{ id: 'hello', state: 'running', started_at: at, ended_at: null, attempts: 1, container_id: 'c1' },
  ...{ exit_code: null, signal: null, oom_killed: false, results: {}, failure: null },
};
const aReport: JobReport = {
  ...{ state: 'running', summary: 'hello runs.', started_at: at, ended_at: null, steps: [aStep], failure: null },
};

function aResult(task_id: string): TaskResult {
  return { task_id, status: 'succeeded', output: jobOutput(), failure: null, started_at: at, finished_at: at };
}

/** What a host answers of a job that ended well, changed by `given`. */
export function jobOutput(given: Partial<JobTaskOutput> = {}): JobTaskOutput {
  const step = { ...aStep, state: 'succeeded' as const, exit_code: 0, ended_at: at };
  return {
    ...{ state: 'succeeded', summary: 'It has succeeded.', endpoints: [], outputs: [], receipt: null, events: [] },
    report: { ...aReport, state: 'succeeded', summary: 'It has succeeded.', ended_at: at, steps: [step] },
    ...{ failure: null, cleanup: null },
    ...given,
  };
}
