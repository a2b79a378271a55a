/** What the verbs of `gpuaas smoke` find wrong: a control plane that says all is well, and endpoints that are not. */
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { access } from '../../../../src/cli/gpuaas/smoke/access.ts';
import { decommission } from '../../../../src/cli/gpuaas/smoke/decommission.ts';
import { runVerb, type SmokeRun } from '../../../../src/cli/gpuaas/smoke/run.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const state = join(temporaryFolder('smoke'), 'state.json');
let printed: string[];
beforeEach(() => {
  printed = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** An endpoint with these answers; it remembers what it was asked. */
async function endpoint(status: number): Promise<{ url: string; asked: IncomingMessage[]; close(): void }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  onTestFinished(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked, close };
}

/** A run whose control plane has one instance; `removed` is what it becomes when it is decommissioned. */
function aRun(url: string, removed: object = {}): SmokeRun {
  const instance = {
    ...{ id: 'i1', display_name: 'smoke', state: 'running', desired: 'running', launch_seconds: 60, failure: null },
    ...{
      endpoints: [{ name: 'web', url }],
      access: [{ endpoint: 'web', url, bearer_path: null, tunnel: 'ssh -N -L 1:1 a@b' }],
    },
  };
  const gone = {
    state: 'decommissioned',
    desired: 'decommissioned',
    summary: 'Gone.',
    cleanup: { removed: ['c'], failed: [] },
  };
  const client = {
    list: async function* (path: string) {
      yield path.endsWith('/allocations') ? { id: 'a1', name: 'here', state: 'active', project_id: 'p1' } : instance;
    },
    change: async () => ({ ...instance, ...gone, ...removed }),
  };
  const inputs = { name: 'smoke', app: 'web@1', placement: { allocation: 'here' } };
  return { client: client as unknown as ControlPlaneClient, inputs, state, json: true };
}

const failed = () =>
  JSON.parse(printed.join('')).checks.flatMap(({ ok, detail }: { ok: boolean; detail: string }) =>
    ok ? [] : [detail],
  );
const keep = (credential: object) => {
  const all = { endpoint: 'web', token: 'secret', url_query: null, bearer_path: null, ...credential };
  writeFileSync(state, JSON.stringify({ instance_id: 'i1', credentials: [all] }));
};

describe('gpuaas smoke access', () => {
  it('brings the token as the endpoint wants it', async () => {
    const { url, asked } = await endpoint(200);
    keep({ url_query: 'token' });
    const byQuery = await runVerb('access', aRun(url), access);
    keep({ bearer_path: '/v1/models' });
    const byHeader = await runVerb('access', aRun(url), access);

    expect([byQuery, byHeader]).toEqual([0, 0]);
    expect(asked.map(({ url: path, headers }) => [path, headers.authorization])).toEqual([
      ['/?token=secret', undefined],
      ['/v1/models', 'Bearer secret'],
    ]);
  });

  it.each([401, 500])('is not content with %s where it has the token', async (status) => {
    const { url } = await endpoint(status);
    keep({ url_query: 'token' });

    expect(await runVerb('access', aRun(url), access)).toBe(12);
    expect(failed()).toEqual([`${url} answers ${status}`]);
  });

  it('names the tunnel where nothing answers, and no token anywhere', async () => {
    const { url, close } = await endpoint(200);
    close();
    keep({ url_query: 'token' });

    expect(await runVerb('access', aRun(url), access)).toBe(12);
    expect(failed()).toEqual([expect.stringContaining('open the tunnel first: ssh -N -L 1:1 a@b')]);
    expect(printed.join('')).not.toContain('secret');
  });
});

describe('gpuaas smoke decommission', () => {
  it('is not content while the endpoint still answers, and keeps its file for another try', async () => {
    const { url } = await endpoint(200);
    keep({});

    expect(await runVerb('decommission', aRun(url), decommission)).toBe(13);
    expect(failed()).toEqual([`${url} still answers`]);
    expect(existsSync(state)).toBe(true);
  });

  it.each<[string, object, string]>([
    ['something is left behind', { cleanup: { removed: [], failed: ['/home/u/x'] } }, 'left behind: /home/u/x'],
    [
      'the instance failed',
      { state: 'failed', failure: { code: 'engine.failed', message: 'No.' } },
      'engine.failed: No.',
    ],
  ])('says so where %s', async (_what, removed, message) => {
    const { url, close } = await endpoint(200);
    close();

    expect(await runVerb('decommission', aRun(url, removed), decommission)).toBe(13);
    expect(failed()).toEqual([message]);
  });

  it('is content where nothing is left, and forgets the tokens', async () => {
    const { url, close } = await endpoint(200);
    close();
    keep({});

    expect(await runVerb('decommission', aRun(url), decommission)).toBe(0);
    expect(existsSync(state)).toBe(false);
  });
});

it.each([
  ['request.unauthenticated', 2],
  ['request.forbidden', 10],
] as const)(
  'observe that meets %s ends with %i: a token that has expired says nothing of the platform',
  async (code, expected) => {
    const status = await runVerb('observe', aRun('http://127.0.0.1:9/'), async () => {
      throw new AgentError(code);
    });

    expect(status).toBe(expected);
  },
);
