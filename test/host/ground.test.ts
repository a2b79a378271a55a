/** The hosts that the other tests here stand on. */
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINE_SOCKET } from '../../bootstrap/dev/engine.ts';
import { callEngine } from '../../bootstrap/dev/engine-api.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';

describe.each([13, 12] as const)('a host with Debian %s', (debian) => {
  let host: SystemdHost;
  beforeAll(async () => {
    host = await startHost({ debian });
  });
  afterAll(async () => {
    await host[Symbol.asyncDispose]();
  });

  it('is up, with its engine as a service of systemd', async () => {
    expect(await host.sh('. /etc/os-release; echo $VERSION_ID; systemctl --failed --no-legend')).toBe(`${debian}`);
    expect(await host.unit('docker', 'ActiveState')).toBe('active');
  });

  it('runs what this machine tells it to, as whom it says', async () => {
    const asked = ['sh', '-c', 'cat; id -u; echo no >&2; exit 3'];
    const ended = await host.run(asked, { stdin: 'yes\n', user: 'nobody' });

    expect(ended).toEqual({ code: 3, stdout: 'yes\n65534\n', stderr: 'no\n' });
    expect((await host.run(['sleep', '60'], { timeout: 0.2 })).code).toBe(124);
  });

  it('takes and gives folders, also where memory is mounted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gpuaas-copy-'));
    try {
      const bytes = Buffer.from([0, 255, 10, 13, 128]);
      await writeFile(join(folder, 'bytes'), bytes);

      await host.copyIn(folder, '/run/copied');
      await host.copyOut('/run/copied/bytes', join(folder, 'back'));

      expect(readFileSync(join(folder, 'back'))).toEqual(bytes);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('pulls an image of the ground by its digest, runs it within its limits, and ends it', async () => {
    const tiny = await host.image('tiny');

    const memory = await host.sh(`docker run --rm --memory 32m --cpus 0.5 --network bridge ${tiny} sh -c '
      cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes'`);

    expect(Number(memory)).toBe(32 * 2 ** 20);
  });

  it('reaches a server of this machine at its own loopback address, and is reached at its ports', async () => {
    const server = createServer((_, answer) => answer.end('from here'));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    try {
      await host.reach(port);
      const at = await host.expose(port);

      expect(await host.sh(`curl -sS http://127.0.0.1:${port}/`)).toBe('from here');
      expect(await (await fetch(`http://${at}/`)).text()).toBe('from here');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('shows the entries of its journal with their fields', async () => {
    await host.sh('printf "MESSAGE=hello\\nGPUAAS_TASK_ID=t1\\n" | logger --journald');

    const [entry] = await host.journal(['GPUAAS_TASK_ID=t1']);

    expect(entry).toMatchObject({ MESSAGE: 'hello' });
  });
});

it('leaves nothing behind', async () => {
  const host = await startHost();
  const tiny = await host.image('tiny');
  await host.sh(`docker run -d ${tiny} sleep 600`);

  await host[Symbol.asyncDispose]();

  const ask = async (path: string) => (await callEngine({ socketPath: ENGINE_SOCKET, method: 'GET', path })).status;
  expect(await ask(`/containers/${host.name}/json`)).toBe(404);
  expect(await ask(`/networks/${host.name}`)).toBe(404);
});
