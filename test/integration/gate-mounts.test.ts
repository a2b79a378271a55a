/** Folders that are swapped at the worst moment: before a create, before a start, and between check and mount. */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { call, type GateGround, newInstance, openGateGround, until } from './gate-ground.ts';

let ground: GateGround;
let outside: string;
beforeAll(async () => {
  ground = await openGateGround();
  outside = join(ground.folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'treasure'), 'gold');
});
afterAll(async () => await ground.close());
beforeEach(() => {
  ground.recorder.forget();
  ground.log.length = 0;
});

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);
const rootOf = (instance: string) => join(ground.policy.allocation.home, 'gpuaas/workloads', instance);
const folderOf = (instance: string) => join(rootOf(instance), 'ws');
const startOf = (instance: string) => go('POST', `/containers/gpuaas-${instance}/start`);

interface RawState {
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly Pid: number };
}
async function stateOf(instance: string) {
  const { body } = await engineCall<RawState>(ground.engineSocket, 'GET', `/containers/gpuaas-${instance}/json`);
  return body.State;
}

/** What the allocation's user can do to a folder of its own at any time. */
function swapFor(path: string, target: string): void {
  renameSync(path, `${path}-aside`);
  symlinkSync(target, path);
}

/** Holds up everything here until the engine says so: the gate must find the container ended. */
function waitUntilEnded(instance: string): void {
  execFileSync('docker', ['-H', `unix://${ground.engineSocket}`, 'wait', `gpuaas-${instance}`]);
}

/** Its process is gone, and the engine hears nothing of that until what this returns is called: as on a machine that is very busy. */
function endUnheard(instance: string): () => void {
  const argv = ['-H', `unix://${ground.engineSocket}`, 'inspect', '-f', '{{.State.Pid}}', `gpuaas-${instance}`];
  const pid = Number(execFileSync('docker', argv));
  const shim = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  process.kill(shim, 'SIGSTOP');
  process.kill(pid, 'SIGKILL');
  return () => void process.kill(shim, 'SIGCONT');
}

const onStart = /^POST \S+\/start HTTP/;

describe('a folder that is a link', () => {
  it('is refused before the engine is asked to create anything', async () => {
    const instance = newInstance();
    await go('POST', '/networks/create', ground.networkRequest(instance));
    mkdirSync(rootOf(instance), { recursive: true });
    symlinkSync(outside, folderOf(instance));
    ground.recorder.forget();

    const answer = await go('POST', `/containers/create?name=gpuaas-${instance}`, ground.containerRequest(instance));

    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ code: 'mount.refused', detail: { path: folderOf(instance) } });
    expect(ground.recorder.text()).not.toContain('POST');
    expect(ground.log.join('')).toContain('mount.refused');
  });

  it('is refused before the engine is asked to start anything', async () => {
    const instance = await ground.makeInstance();
    swapFor(folderOf(instance), outside);
    ground.recorder.forget();

    const answer = await startOf(instance);

    expect(answer.json).toMatchObject({ code: 'mount.refused', detail: { path: folderOf(instance) } });
    expect(ground.recorder.text()).not.toContain('POST');
    expect((await stateOf(instance)).Status).toBe('created');
  });

  it('is refused before a second start, too', async () => {
    const instance = await ground.makeInstance();
    await startOf(instance);
    await go('POST', `/containers/gpuaas-${instance}/stop?t=3`);
    swapFor(rootOf(instance), outside);

    expect((await startOf(instance)).json).toMatchObject({ code: 'mount.refused', detail: { path: rootOf(instance) } });
    expect((await stateOf(instance)).Status).toBe('exited');
  });
});

describe('a folder that is swapped after the check', () => {
  it.each([
    ['a link to a folder of the host', (instance: string) => swapFor(folderOf(instance), outside)],
    ['a link to the root of the host', (instance: string) => swapFor(folderOf(instance), '/')],
    [
      'a link further up',
      (instance: string) => {
        mkdirSync(join(outside, 'ws'), { recursive: true });
        swapFor(rootOf(instance), outside);
      },
    ],
    [
      'a link to another folder of the same user',
      (instance: string) => {
        const other = join(ground.policy.allocation.home, 'other');
        mkdirSync(other, { recursive: true });
        chownSync(other, ground.policy.allocation.uid, ground.policy.allocation.gid);
        swapFor(folderOf(instance), other);
      },
    ],
  ])('for %s gets the container killed, and the client told', async (_what, swap) => {
    const instance = await ground.makeInstance();
    ground.recorder.before(onStart, () => swap(instance));

    const answer = await startOf(instance);

    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ code: 'mount.refused', detail: { path: '/workspace' } });
    expect(answer.json.errors[0]).toMatchObject({ path: '/workspace', code: 'wrong_folder' });
    expect(answer.json.errors.length).toBeLessThanOrEqual(20);
    await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
    expect((await stateOf(instance)).ExitCode).toBe(137);
    expect(ground.log.join('')).toContain('container has other mounts than it may have, killed');
    expect(readdirSync(outside).filter((name) => name !== 'ws')).toEqual(['treasure']);
  });

  it.each([
    ['another real folder of the user', () => ground.policy.allocation.uid],
    ["a real folder of root's", () => 0],
  ])('for %s gets the container killed', async (_what, owner) => {
    const instance = await ground.makeInstance();
    const other = join(ground.policy.allocation.home, `other-${instance}`);
    mkdirSync(other);
    chownSync(other, owner(), owner());
    ground.recorder.before(onStart, () => {
      renameSync(folderOf(instance), `${folderOf(instance)}-aside`);
      renameSync(other, folderOf(instance));
    });

    const answer = await startOf(instance);

    expect(answer.json).toMatchObject({
      code: 'mount.refused',
      errors: [{ path: '/workspace', code: 'wrong_folder' }],
    });
    await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
  });

  it('is told also where the container has ended before it could be looked at', async () => {
    const instance = await ground.makeInstance({ top: { Cmd: ['exit 0'] } });
    ground.recorder.before(onStart, () => swapFor(folderOf(instance), outside));
    ground.recorder.beforeAnswer(onStart, () => waitUntilEnded(instance));

    const answer = await startOf(instance);

    expect(answer.json).toMatchObject({ code: 'mount.refused', detail: { path: folderOf(instance) } });
    expect(ground.log.join('')).toContain('ended before its mounts could be looked at');
  });
});

it('a short-lived container is refused also where the folder was moved back in time', async () => {
  const instance = await ground.makeInstance({ top: { Cmd: ['exit 0'] } });
  ground.recorder.before(onStart, () => swapFor(folderOf(instance), outside));
  ground.recorder.beforeAnswer(onStart, () => {
    waitUntilEnded(instance);
    rmSync(folderOf(instance));
    renameSync(`${folderOf(instance)}-aside`, folderOf(instance));
  });

  const answer = await startOf(instance);

  expect(answer.json).toMatchObject({ code: 'mount.refused', errors: [{ code: 'moved' }] });
});

it('a container that cannot be looked at in time is killed', async () => {
  const instance = await ground.makeInstance();
  ground.recorder.beforeAnswer(onStart, () => {
    // The engine falls silent at the first look, for longer than the gate waits.
    ground.recorder.before(/^GET \S+\/json HTTP/, () => {
      ground.recorder.hold(true);
      setTimeout(() => ground.recorder.hold(false), 6_000);
    });
  });

  const answer = await startOf(instance);

  expect(answer.json).toMatchObject({ code: 'mount.refused', errors: [{ code: 'unreadable' }] });
  await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
});

describe('a start that the gate could not see the end of', () => {
  it('is looked at as soon as the engine answers again: killed where the mounts are wrong', async () => {
    const instance = await ground.makeInstance();
    ground.recorder.before(onStart, () => swapFor(folderOf(instance), outside));
    ground.recorder.beforeAnswer(onStart, () => ground.recorder.cut(true));

    const answer = await startOf(instance);
    expect(answer.json).toMatchObject({ code: 'engine.unavailable' });
    expect((await stateOf(instance)).Status).toBe('running');
    ground.recorder.cut(false);

    await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
    await until(
      'nothing is left to look at',
      () => readdirSync(join(ground.folder, 'state/pending-starts')).length === 0,
    );
  });

  it('is looked at by the next gate: killed where the mounts are wrong', async () => {
    const instance = await ground.makeInstance();
    ground.recorder.before(onStart, () => swapFor(folderOf(instance), outside));
    ground.recorder.beforeAnswer(onStart, () => ground.recorder.cut(true));
    await startOf(instance);

    await ground.restartGate();
    ground.recorder.cut(false);

    await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
  });

  it('is looked at by the next gate: left running where they are right', async () => {
    const instance = await ground.makeInstance();
    ground.recorder.beforeAnswer(onStart, () => ground.recorder.cut(true));
    await startOf(instance);
    ground.recorder.cut(false);

    await ground.restartGate();

    await until('it was looked at', () => readdirSync(join(ground.folder, 'state/pending-starts')).length === 0);
    expect((await stateOf(instance)).Status).toBe('running');
    expect((await startOf(instance)).status).toBe(304);
  });

  it('is looked at although the client has gone', async () => {
    const instance = await ground.makeInstance();
    ground.recorder.before(onStart, () => {
      swapFor(folderOf(instance), outside);
      ground.recorder.hold(true);
    });
    const path = `/containers/gpuaas-${instance}/start`;
    const sent = request({ socketPath: ground.gate.socketPath, method: 'POST', path, agent: false }).end();
    sent.on('error', () => undefined);
    await until('the engine has started it', async () => (await stateOf(instance)).Status === 'running');

    sent.destroy();
    ground.recorder.hold(false);

    await until('it is killed', async () => (await stateOf(instance)).Status === 'exited');
  });
});

it('passes on the start of a container that ends at once', async () => {
  const instance = await ground.makeInstance({ top: { Cmd: ['exit 3'] } });

  expect((await startOf(instance)).status).toBe(204);
  await until('it has ended', async () => (await stateOf(instance)).ExitCode === 3);
});

it('passes on the start of a container whose end the engine hears of late', async () => {
  const instance = await ground.makeInstance();
  let tell: (() => void) | undefined;
  ground.recorder.beforeAnswer(onStart, () => {
    tell = endUnheard(instance);
    ground.recorder.forget();
  });
  const looks = () => ground.recorder.requests().filter((line) => /^GET \S+\/json$/.test(line)).length;

  const started = startOf(instance);
  try {
    await until('it was looked at again and again', () => tell !== undefined && looks() > 6);
  } finally {
    tell?.();
  }

  expect((await started).status).toBe(204);
  await until('it has ended', async () => (await stateOf(instance)).ExitCode === 137);
});

it('lets a workload write its folder as its own user', async () => {
  const instance = await ground.makeInstance({ top: { Cmd: ['touch /workspace/made; sleep 60'] } });
  await startOf(instance);

  await until('it has written', () => existsSync(join(folderOf(instance), 'made')));
  const { uid, gid } = ground.policy.allocation;
  expect(statSync(join(folderOf(instance), 'made'))).toMatchObject({ uid, gid });
});

it('removes data of a workload that left links behind, and nothing else', async () => {
  const instance = await ground.makeInstance({
    top: {
      Cmd: [`ln -s ${outside} /workspace/out; ln -s / /workspace/root; mkdir -p /workspace/a/b; chmod 0 /workspace/a`],
    },
  });
  await startOf(instance);
  await until('it has ended', async () => (await stateOf(instance)).Status === 'exited');
  expect(readdirSync(folderOf(instance)).sort()).toEqual(['a', 'out', 'root']);
  await go('DELETE', `/containers/gpuaas-${instance}`);

  const answer = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);

  expect(answer.json.removed).toEqual([rootOf(instance)]);
  expect(existsSync(rootOf(instance))).toBe(false);
  expect(readdirSync(outside)).toContain('treasure');
});

it('removes a link in place of the data as a link', async () => {
  const instance = newInstance();
  mkdirSync(join(ground.policy.allocation.home, 'gpuaas/workloads'), { recursive: true });
  symlinkSync(outside, rootOf(instance));

  const answer = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);

  expect(answer.json.removed).toEqual([rootOf(instance)]);
  expect(existsSync(rootOf(instance))).toBe(false);
  expect(readdirSync(outside)).toContain('treasure');
});
