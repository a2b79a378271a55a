import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { launch } from '../../../../src/cli/gpuaas/launch.ts';
import { failureLines } from '../../../../src/cli/output.ts';
import { AgentError, failures } from '../../../../src/contract/failures.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const instance = {
  id: 'i-1',
  display_name: 'Mine',
  summary: 'Waits.',
  state: 'deploying',
  desired: 'running',
  state_since: '2026-11-25T10:00:00Z',
  launch_seconds: 60,
};
const credentials = [{ endpoint: 'web', token: 'only-here', url_query: 'token', bearer_path: null }];
/** What the control plane has against the launch, by path. */
let refusals: string[];
/** Body of the launch. */
let asked: string;
const server = createServer((request, response) => {
  if (request.method === 'POST') request.setEncoding('utf8').on('data', (text) => (asked += text));
  if (request.method === 'POST' && refusals.length > 0) response.writeHead(400).end(JSON.stringify(refusal()));
  else if (request.method === 'POST') response.end(JSON.stringify({ ...instance, credentials }));
  else if (request.url?.startsWith('/api/v1/events')) response.write(': connected\n\n');
  else response.end(JSON.stringify(instance));
});

function refusal() {
  const { message } = failures['launch.allocation_missing'];
  const errors = refusals.map((path) => ({ code: 'launch.allocation_missing', path, message }));
  return { error: { code: 'launch.allocation_missing', message, errors } };
}

beforeEach(async () => {
  refusals = [];
  asked = '';
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

function client(): ControlPlaneClient {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return new ControlPlaneClient({ url, token: 'secret' });
}

it('has said the credentials of a launch, as JSON too, before it can give up waiting', async () => {
  const steps: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => steps.push(String(text)) > 0);

  const late = launch(client(), 'web@1', {
    ...{ set: {}, wait: true, timeout: 0.2, json: true },
  });

  await expect(late).rejects.toMatchObject({ code: 'command.timed_out' });
  expect(JSON.parse(steps[0] ?? '')).toEqual({ type: 'accepted', instance: 'i-1', credentials });
});

it('waits as long as the launch may take, unless it is told otherwise', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const timers = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => AbortSignal.abort(new Error('late')));
  const options = { set: {}, wait: true, json: true };

  await expect(launch(client(), 'web@1', options)).rejects.toMatchObject({ code: 'command.timed_out' });
  await expect(launch(client(), 'web@1', { ...options, timeout: 5 })).rejects.toThrow();

  expect(timers.mock.calls).toEqual([[60_000], [5000]]);
});

it('names what is wrong by the option that a person gave, or did not', async () => {
  refusals = ['/placement_intent/target_allocation_id', '/config/host_port', '/resource_overrides/gpu_count'];

  const error = await launch(client(), 'web@1', { set: {}, wait: true, timeout: 1, json: false }).catch((each) => each);

  expect(error).toBeInstanceOf(AgentError);
  const text = failureLines(error.toFailure()).join('\n');
  expect(text).toMatch(/^ {2}--allocation: /m);
  expect(text).toMatch(/^ {2}--set host_port=…: /m);
  expect(text).toMatch(/^ {2}--gpus: /m);
  expect(text).not.toMatch(/[a-z]_[a-z]+_id/);
});

it('takes secrets out of files, and names the option where one is refused', async () => {
  const file = join(temporaryFolder('secret'), 'token');
  writeFileSync(file, 'hf_canary\n');
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const options = { set: {}, secretFile: { hub_token: file }, wait: false, timeout: 1, json: false };

  await launch(client(), 'web@1', options);

  expect(JSON.parse(asked)).toMatchObject({ secrets: { hub_token: 'hf_canary' } });
  refusals = ['/secrets/hub_token'];
  const error = await launch(client(), 'web@1', options).catch((each) => each);
  expect(failureLines(error.toFailure()).join('\n')).toMatch(/^ {2}--secret-file hub_token=…: /m);
});

it('says how to ask an endpoint that wants its token as a bearer', async () => {
  const said: string[] = [];
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const access = [
    { endpoint: 'openai', url: 'http://127.0.0.1:8000/', tunnel: 'ssh -N -L 8000:127.0.0.1:8000 me@host' },
  ];
  Object.assign(instance, { state: 'running', access });
  credentials.splice(0, 1, {
    endpoint: 'openai',
    token: 'only-here',
    url_query: null,
    bearer_path: '/v1/models',
  } as never);

  await launch(client(), 'vllm-openai@1', { set: {}, wait: true, timeout: 5, json: false });

  expect(said.join('')).toContain(
    "Then ask:                curl -H 'Authorization: Bearer only-here' http://127.0.0.1:8000/v1/models\n",
  );
});
