import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GateCall, GateContext } from '../../../src/gate/context.ts';
import { ensureInputs } from '../../../src/gate/job-inputs.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';

const agent = { uid: 61_801, gid: 61_801 };
let folder: string;
let dir: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-inputs-'));
  chmodSync(folder, 0o755);
  dir = join(folder, 'inputs');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function ensure(job = 'job-1', volume = 'model'): Promise<string> {
  const body: Buffer[] = [];
  const response = { writeHead: () => response, end: (bytes: Buffer) => void body.push(bytes) };
  const call = { params: { instance: job, input: volume }, query: {}, response };
  const gate = { policy: { inputs: { dir } }, locks: new KeyedMutex(), clientGroup: agent.gid };
  await ensureInputs(call as unknown as GateCall, gate as unknown as GateContext);
  return (JSON.parse(Buffer.concat(body).toString()) as { path: string }).path;
}

/** What a shell of the agent's user says to it. */
const asAgent = (script: string) => execFileSync('sh', ['-c', `${script}; true`], { ...agent, cwd: '/' }).toString();

describe('folders for inputs', () => {
  it('are for the agent to fill, and to link into from its cache', async () => {
    const path = await ensure();

    expect(asAgent(`echo x >${dir}/cache/x && ln ${dir}/cache/x ${path}/x && cat ${path}/x`)).toBe('x\n');
    expect(asAgent(`echo y >${dir}/jobs/job-1/.provided/y && echo noted`)).toBe('noted\n');
  });

  it('are not for the agent to move, to replace or to open to others', async () => {
    const path = await ensure();
    const tries = [
      ...[`mv ${path} ${path}-aside`, `rmdir ${path}`, `ln -s / ${dir}/jobs/job-1/other`, `mkdir ${dir}/jobs/job-2`],
      ...[`mv ${dir}/jobs ${dir}/aside`, `mv ${dir} ${folder}/aside`, `chmod 777 ${path}`, `ln -s / ${dir}/link`],
    ];
    for (const attempt of tries) {
      expect(asAgent(`${attempt} 2>/dev/null && echo done`), attempt).toBe('');
    }
  });

  it('are read in containers by any user, and on the host by nobody else', async () => {
    const path = await ensure();
    const modes = [dir, join(dir, 'jobs'), join(dir, 'jobs/job-1'), path].map((each) => statSync(each).mode & 0o777);

    expect(modes).toEqual([0o750, 0o755, 0o755, 0o775]);
  });

  it('are finished where a gate was cut off, and left as they are otherwise', async () => {
    const path = await ensure();
    chmodSync(path, 0o700);
    chmodSync(dir, 0o755);

    await ensure();

    expect([statSync(path).mode & 0o777, statSync(dir).mode & 0o777]).toEqual([0o775, 0o755]);
  });

  it.each<[string, () => void]>([
    ['may be changed by a group', () => chmodSync(folder, 0o775)],
    ['may be changed by anybody', () => chmodSync(folder, 0o777)],
    ['belongs to the agent', () => execFileSync('chown', [`${agent.uid}`, folder])],
    [
      'is a link',
      () => execFileSync('sh', ['-c', `mkdir ${folder}-real; rm -r ${folder}; ln -s ${folder}-real ${folder}`]),
    ],
  ])('are not made where something above %s', async (_what, change) => {
    change();

    await expect(ensure()).rejects.toMatchObject({ code: 'mount.refused', detail: { path: folder } });
    rmSync(`${folder}-real`, { recursive: true, force: true });
  });

  it('are made in a folder that is open to all where nobody moves what is not his', async () => {
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o1777);
    dir = join(open, 'inputs');

    expect(await ensure()).toBe(join(dir, 'jobs/job-1/model'));
  });
});
