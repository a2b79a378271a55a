import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenOn } from '../../../src/gate/socket-file.ts';

let folder: string;
let path: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-socket-'));
  path = join(folder, 'gate.sock');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function listen(): Promise<() => Promise<void>> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('hello'));
  servers.push(server);
  return await listenOn(server, { path, mode: 0o600 });
}

async function answers(): Promise<boolean> {
  const socket = connect(path);
  const [data] = await once(socket, 'data');
  socket.destroy();
  return String(data) === 'hello';
}

describe('listenOn', () => {
  it('opens a socket with exactly the given rights and leaves no other file', async () => {
    await listen();

    expect(await answers()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['gate.sock']);
  });

  it('makes the folder that a boot took away, for everybody to pass whatever the umask', async () => {
    path = join(folder, 'gate-run/gate.sock');
    const before = process.umask(0o077);
    try {
      await listen();
    } finally {
      process.umask(before);
    }

    expect(await answers()).toBe(true);
    expect(statSync(join(folder, 'gate-run')).mode & 0o777).toBe(0o755);
  });

  it('takes the file away when it is released', async () => {
    const release = await listen();

    await release();

    expect(existsSync(path)).toBe(false);
  });

  it('replaces a socket that nobody listens on', async () => {
    await leaveStaleSocket();

    await listen();

    expect(await answers()).toBe(true);
    expect(readdirSync(folder)).toEqual(['gate.sock']);
  });

  it('refuses a socket that somebody listens on, and leaves it alone', async () => {
    await listen();

    await expect(listen()).rejects.toMatchObject({ code: 'agent.busy' });
    expect(await answers()).toBe(true);
    expect(readdirSync(folder)).toEqual(['gate.sock']);
  });

  it('refuses to replace a file', async () => {
    writeFileSync(path, 'x');

    await expect(listen()).rejects.toMatchObject({ code: 'config.invalid', detail: { path } });
    expect(statSync(path).isFile()).toBe(true);
  });

  it('lets one win of several that find a stale socket at once, also where one died while it took the place', async () => {
    for (let round = 0; round < 8; round += 1) {
      path = join(folder, `${round}.sock`);
      await leaveStaleSocket();
      if (round % 2 === 1) await leaveStaleSocket(claimOf(path));

      const results = await Promise.allSettled(Array.from({ length: 6 }, listen));

      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await answers()).toBe(true);
    }
    expect(readdirSync(folder).filter((name) => !name.endsWith('.sock'))).toEqual([]);
  });

  it('says where nobody can listen', async () => {
    writeFileSync(join(folder, 'file'), '');
    path = join(folder, 'file/gate.sock');
    await expect(listen()).rejects.toMatchObject({ code: 'config.invalid', detail: { path } });

    path = join(folder, 'x'.repeat(120));
    await expect(listen()).rejects.toMatchObject({ code: 'config.invalid', detail: { path } });
  });

  it("does not take away a later server's socket", async () => {
    const release = await listen();
    rmSync(path);
    await listen();

    await release();

    expect(await answers()).toBe(true);
  });
});

/** A socket file whose process is gone: a closed server would have removed it. */
async function leaveStaleSocket(at = path): Promise<void> {
  const code = `const { createServer } = require('node:net'); const { parentPort } = require('node:worker_threads');
    createServer().listen(${JSON.stringify(join(folder, 'draft'))}, () => {
      require('node:fs').renameSync(${JSON.stringify(join(folder, 'draft'))}, ${JSON.stringify(at)});
      parentPort.postMessage('up');
    });`;
  const worker = new Worker(code, { eval: true });
  await once(worker, 'message');
  await worker.terminate();
}

/** What a gate makes first that is about to replace this socket. */
function claimOf(socket: string): string {
  return join(folder, `.${statSync(socket).ino.toString(36)}`);
}
