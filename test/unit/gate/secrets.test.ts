import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GateCall, GateContext } from '../../../src/gate/context.ts';
import { putSecrets, removeAllSecrets, removeSecrets } from '../../../src/gate/secrets.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';
import { policy as samplePolicy } from '../policy/samples.ts';

let folder: string;
let policy: GateContext['policy'];

beforeEach(() => {
  folder = mkdtempSync('/dev/shm/gpuaas-unit-secrets-');
  policy = { ...samplePolicy, secrets_dir: folder };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('secret files', () => {
  it('are for the user of the allocation alone, and replaced as a whole', async () => {
    await put({ token: 'one', old: 'x' });
    await put({ token: 'two' });

    const root = join(folder, 'notebook-1');
    expect([readdirSync(folder), readdirSync(root)]).toEqual([['notebook-1'], ['token']]);
    expect(readFileSync(join(root, 'token'), 'utf8')).toBe('two');
    expect([statSync(root).mode & 0o777, statSync(root).uid]).toEqual([0o500, policy.allocation.uid]);
    expect(statSync(join(root, 'token')).mode & 0o777).toBe(0o400);
  });

  it('are below a folder that is closed, whose own folder is not', async () => {
    policy = { ...policy, secrets_dir: join(folder, 'run/secrets') };

    await put({ token: 'one' });

    const modes = ['run', 'run/secrets'].map((name) => statSync(join(folder, name)).mode & 0o777);
    expect(modes).toEqual([0o755, 0o700]);
  });

  it('that a killed gate had begun to write go with the next ones', async () => {
    leaveDraft();

    await put({ token: 'new' });

    expect(readdirSync(folder)).toEqual(['notebook-1']);
    expect(readdirSync(join(folder, 'notebook-1'))).toEqual(['token']);
  });

  it('that a killed gate had begun to write go with the instance', async () => {
    leaveDraft();

    expect(await removeSecrets('notebook-1', policy)).toBe(true);
    expect(await removeSecrets('notebook-1', policy)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of every service go with the instance, half written ones as well, and of nobody else', async () => {
    for (const name of ['a', 'a.api', '.a.web', 'a-b', '.a-b', 'b.a']) mkdirSync(join(folder, name));
    const { signal } = new AbortController();

    const gone = await removeAllSecrets('a', policy, signal);

    expect(gone).toEqual(['a', 'a.api', 'a.web'].map((name) => join(folder, name)));
    expect(readdirSync(folder).sort()).toEqual(['.a-b', 'a-b', 'b.a']);
    expect(await removeAllSecrets('a', { ...policy, secrets_dir: join(folder, 'none') }, signal)).toEqual([]);
  });
});

/** What is there when the gate is killed between two files. */
function leaveDraft(): void {
  mkdirSync(join(folder, '.notebook-1'), { mode: 0o700 });
  writeFileSync(join(folder, '.notebook-1/half'), 'c4nary', { mode: 0o400 });
  expect(existsSync(join(folder, 'notebook-1'))).toBe(false);
}

async function put(files: Record<string, string>): Promise<void> {
  const encoded = Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  const response = { writeHead: () => ({ end: () => undefined }) };
  const call = { params: { member: 'notebook-1' }, body: { files: Object.fromEntries(encoded) }, response };
  await putSecrets(call as unknown as GateCall, { policy, locks: new KeyedMutex() } as unknown as GateContext);
}
