import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStacks } from '../../../src/runtime/compose/open-stacks.ts';
import { eventually } from '../../support/eventually.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { standIn } from '../host/stand-ins.ts';

const patience = AbortSignal.timeout(30_000);
const stack = {
  instance: 'stack-1',
  document: { name: 'gpuaas-stack-1', services: {} },
  env: { GPUAAS_SECRET_0: 's3' },
};

/** A Compose that is a script. */
function withCompose(script: string) {
  const folder = temporaryFolder('stacks');
  standIn(folder, 'docker-compose', `[ "$1" = version ] && { echo 2.26.1; exit; }\n${script}`);
  const stateDir = join(folder, 'state');
  const open = () => openStacks({ socketPath: '/run/gate.sock', stateDir, folders: [folder] });
  return { folder, stateDir, open, stacks: open() };
}

describe('up', () => {
  it('runs Compose on a document for us alone, with the secrets in its environment and nothing of ours', async () => {
    const { folder, stateDir, stacks } = withCompose('env > "$(dirname "$0")/env"; echo "$@" > "$(dirname "$0")/args"');

    await stacks.up(stack, { signal: patience });

    const document = join(stateDir, 'stacks/stack-1/compose.json');
    expect(JSON.parse(readFileSync(document, 'utf8'))).toEqual(stack.document);
    expect(statSync(document).mode & 0o777).toBe(0o600);
    expect(statSync(join(document, '..')).mode & 0o777).toBe(0o700);
    const env = readFileSync(join(folder, 'env'), 'utf8').trim().split('\n');
    const names = env
      .map((line) => line.split('=')[0])
      .filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name ?? ''));
    expect(names.sort()).toEqual([
      ...['COMPOSE_DISABLE_ENV_FILE', 'DOCKER_CONFIG', 'DOCKER_HOST', 'GPUAAS_SECRET_0', 'HOME', 'LC_ALL', 'PATH'],
    ]);
    expect(env).toContain('DOCKER_HOST=unix:///run/gate.sock');
    const args = readFileSync(join(folder, 'args'), 'utf8');
    expect(args).toContain('--project-name gpuaas-stack-1');
    expect(args).toMatch(/ up --detach --no-build --no-recreate --pull never$/m);
    expect(args).not.toContain('s3');
  });

  it('tells each step, and every other line', async () => {
    const { stacks } = withCompose(
      'echo " Container a  Creating" >&2; echo "a word"; printf " Container a  Started" >&2',
    );
    const steps: string[] = [];
    const lines: string[] = [];

    await stacks.up(stack, {
      signal: patience,
      onStep: (container, step) => steps.push(`${container} ${step}`),
      onLine: (line) => lines.push(line),
    });

    expect(steps).toEqual(['a Creating', 'a Started']);
    expect(lines).toEqual(['a word']);
  });

  it('fails with what Compose said last, however much it says', async () => {
    const { stacks } = withCompose('head -c 3000000 /dev/zero | tr "\\0" x; echo; echo the end >&2; exit 7');

    await expect(stacks.up(stack, { signal: patience })).rejects.toMatchObject({
      ...{ code: 'compose.failed', detail: { exit_code: 7, reason: expect.stringContaining('the end') } },
    });
  });

  it('goes on where a container came to be meanwhile, once', async () => {
    const said =
      'Error response from daemon: Conflict. The container name "/gpuaas-x.a" is already in use by container "1"';
    const { folder, stacks } = withCompose(
      `echo x >> "$(dirname "$0")/runs"; [ $(wc -l < "$(dirname "$0")/runs") -gt 1 ] && exit; echo '${said}' >&2; exit 1`,
    );

    await stacks.up(stack, { signal: patience });

    expect(readFileSync(join(folder, 'runs'), 'utf8')).toBe('x\nx\n');
  });

  it('ends Compose and all that it has started with the signal', async () => {
    const { folder, stacks } = withCompose('sleep 600 & echo $! > "$(dirname "$0")/child"; echo started; wait');
    const abort = new AbortController();

    const up = stacks.up(stack, { signal: abort.signal, onLine: () => abort.abort(new Error('given up')) });

    await expect(up).rejects.toThrow('given up');
    const child = readFileSync(join(folder, 'child'), 'utf8').trim();
    await eventually(() => !existsSync(`/proc/${child}`) || isZombie(child));
  });
});

describe('whoever opens the stacks of a state', () => {
  it('ends the Compose that a killed agent left there, before anything of its own', async () => {
    const { stateDir, open, stacks } = withCompose('echo at work; sleep 600');
    const left = Promise.withResolvers<void>();
    const up = stacks.up(stack, { signal: patience, onLine: () => left.resolve() });
    const ended = expect(up).rejects.toMatchObject({ code: 'compose.failed', detail: { exit_code: null } });
    await left.promise;

    await open().version(patience);

    await ended;
    expect(readdirSync(join(stateDir, 'stacks'))).toEqual(['stack-1']);
  });
});

it('forgets what it had kept of a stack, once', async () => {
  const { stateDir, stacks } = withCompose('exit 0');
  await stacks.up(stack, { signal: patience });

  expect([await stacks.forget('stack-1'), await stacks.forget('stack-1')]).toEqual([true, false]);
  expect(readdirSync(join(stateDir, 'stacks'))).toEqual([]);
});

it('looks again where Compose was missing', async () => {
  const folder = temporaryFolder('stacks');
  const stacks = openStacks({ socketPath: '/x', stateDir: folder, folders: [folder] });

  await expect(stacks.version(patience)).rejects.toMatchObject({ code: 'compose.unavailable' });
  standIn(folder, 'docker-compose', 'echo 2.30.0');

  expect(await stacks.version(patience)).toBe('2.30.0');
});

it.each([
  ['taken away', (file: string) => rmSync(file)],
  ['replaced by something that cannot be started', (file: string) => chmodSync(file, 0o644)],
])('is unavailable while Compose is %s, and is there again with it', async (_what, spoil) => {
  const { folder, stacks } = withCompose('exit 0');
  await stacks.up(stack, { signal: patience });
  spoil(join(folder, 'docker-compose'));

  for (const again of [1, 2]) {
    await expect(stacks.up(stack, { signal: patience }), `${again}`).rejects.toMatchObject({
      code: 'compose.unavailable',
    });
  }
  rmSync(join(folder, 'docker-compose'), { force: true });
  standIn(folder, 'docker-compose', '[ "$1" = version ] && echo 2.30.0; exit 0');

  await stacks.up(stack, { signal: patience });
  expect(await stacks.version(patience)).toBe('2.30.0');
});

it('does not take the Compose of one task for a leftover while another looks for the program again', async () => {
  const { folder, stacks } = withCompose('echo at work; sleep 600');
  const abort = new AbortController();
  const atWork = Promise.withResolvers<void>();
  const up = stacks.up(stack, { signal: abort.signal, onLine: () => atWork.resolve() });
  const ended = expect(up).rejects.toThrow('by the test');
  await atWork.promise;
  renameSync(join(folder, 'docker-compose'), join(folder, 'aside'));

  await expect(stacks.stop('stack-2', 1, { signal: patience })).rejects.toMatchObject({ code: 'compose.unavailable' });
  await expect(stacks.version(patience)).rejects.toMatchObject({ code: 'compose.unavailable' });

  abort.abort(new Error('by the test'));
  await ended;
});

function isZombie(pid: string): boolean {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
}
