/** Commands inside real containers, through the real gate: output, exit codes, joining and re-attaching (FAULTS 13, 36). */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { startEngineFront } from '../support/engine-front.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { runWorkload, soon } from './engine-workload.ts';

let host: TestHost;
let name: string;

beforeAll(async () => {
  host = await openTestHost();
  name = await runWorkload(host, 'trap "exit 0" TERM; while :; do sleep 0.1; done');
});

afterAll(async () => {
  await host.close();
});

const sh = (script: string) => ['sh', '-c', script];

/** Resolves once the command runs in the container; it leaves the file behind when it begins. */
async function begun(container: string, file: string): Promise<void> {
  for (;;) {
    const { exitCode } = await host.engine.exec(container, ['test', '-e', file], { signal: soon() });
    if (exitCode === 0) {
      return;
    }
  }
}

describe('a command in a container', () => {
  it('gives its exit code and both channels in order', async () => {
    const seen: string[] = [];

    // The channels are read side by side: it writes to the other one when the first was heard.
    const script = 'echo out; until [ -e /tmp/heard ]; do sleep 0.05; done; echo err >&2; exit 3';
    const result = await host.engine.exec(name, sh(script), {
      signal: soon(),
      onOutput: (channel, text) => {
        seen.push(`${channel} ${text}`);
        void host.engine.exec(name, ['touch', '/tmp/heard'], { signal: soon() });
      },
    });

    expect(result).toEqual({ exitCode: 3, tail: 'out\nerr\n', adopted: false });
    expect(seen).toEqual(['stdout out\n', 'stderr err\n']);
  });

  it('gets its arguments as they are', async () => {
    const argv = ['printf', '%s|', 'a b', '', '$HOME', '"quoted"', "it's", '*', 'ä'];

    const { tail } = await host.engine.exec(name, argv, { signal: soon() });

    expect(tail).toBe('a b||$HOME|"quoted"|it\'s|*|ä|');
  });

  it('has the variables of the container, and those that it is given beside them', async () => {
    const env = { MYVAR: '42', HOME: '/mine', ODD: 'a=b "c"' };

    const { tail } = await host.engine.exec(name, sh('echo "$MYVAR $HOME $ODD $(test -n "$PATH" && echo path)"'), {
      signal: soon(),
      env,
    });

    expect(tail).toBe('42 /mine a=b "c" path\n');
  });

  it('is refused a variable that the loader obeys', async () => {
    const refused = host.engine.exec(name, ['true'], { signal: soon(), env: { LD_PRELOAD: '/x' } });

    await expect(refused).rejects.toMatchObject({ code: 'policy.refused', detail: { errors: [{ path: '/Env/0' }] } });
  });

  it('keeps the end of a long output and no more', async () => {
    let bytes = 0;

    const { tail, exitCode } = await host.engine.exec(name, sh('seq 1 200000; echo last'), {
      signal: soon(),
      onOutput: (_channel, text) => {
        bytes += text.length;
      },
    });

    expect(exitCode).toBe(0);
    expect(bytes).toBeGreaterThan(1_000_000);
    expect(tail.length).toBeLessThanOrEqual(16 * 1024 + 1);
    expect(tail.startsWith('…')).toBe(true);
    expect(tail.endsWith('\n200000\nlast\n')).toBe(true);
  });

  it('keeps characters whole that arrive in two parts', async () => {
    const { tail } = await host.engine.exec(name, sh("printf '\\303'; sleep 0.3; printf '\\244'"), { signal: soon() });

    expect(tail).toBe('ä');
  });

  it('that does not exist ends with 126 or 127 and the reason', async () => {
    const { exitCode, tail } = await host.engine.exec(name, ['no-such-program'], { signal: soon() });

    expect([126, 127]).toContain(exitCode);
    expect(tail).toContain('no-such-program');
  });

  it('that was killed alone is a result, not an ended container', async () => {
    const { exitCode } = await host.engine.exec(name, sh('kill -9 $$'), { signal: soon() });

    expect(exitCode).toBe(137);
  });

  it('ends although something it left behind holds its output open', async () => {
    const script = 'echo mine; sleep 600 & exit 0';

    const { exitCode, tail } = await host.engine.exec(name, sh(script), { signal: soon() });

    expect({ exitCode, tail }).toEqual({ exitCode: 0, tail: 'mine\n' });
  });

  it('is given up with the reason of the signal and runs on', async () => {
    const reason = new Error('enough');
    const abort = new AbortController();

    // It ends only when it is told to, which nobody does before it was given up.
    const script = 'touch /tmp/given-up; until [ -e /tmp/finish ]; do sleep 0.1; done; touch /tmp/finished';
    const running = host.engine.exec(name, sh(script), { signal: abort.signal });
    void begun(name, '/tmp/given-up').then(() => abort.abort(reason));

    await expect(running).rejects.toBe(reason);
    await host.engine.exec(name, ['touch', '/tmp/finish'], { signal: soon() });
    await begun(name, '/tmp/finished');
  });
});

describe('a command that is still running', () => {
  it('is joined by the same argument vector, and by no other', async () => {
    const script = 'touch /tmp/join; while [ ! -e /tmp/joined ]; do sleep 0.05; done; exit 9';
    const first = host.engine.exec(name, sh(script), { signal: soon() });
    await begun(name, '/tmp/join');

    const joined = host.engine.exec(name, sh(script), { signal: soon(), adopt: true });
    const other = await host.engine.exec(name, sh('exit 1'), { signal: soon(), adopt: true });
    await host.engine.exec(name, ['touch', '/tmp/joined'], { signal: soon() });

    expect(await first).toEqual({ exitCode: 9, tail: '', adopted: false });
    expect(await joined).toEqual({ exitCode: 9, tail: '', adopted: true });
    expect(other).toEqual({ exitCode: 1, tail: '', adopted: false });
  });

  it('is joined by its name, whether it runs or has ended, with the code that it ends with though it went on to speak', async () => {
    const known = Promise.withResolvers<string>();
    const leave = new AbortController();
    const script =
      'touch /tmp/named; for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done; echo once >> /tmp/once; exit 5';
    const first = host.engine.exec(name, sh(script), { signal: leave.signal, onCreated: known.resolve });
    await begun(name, '/tmp/named');
    leave.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');

    const join = await known.promise;
    const running = await host.engine.exec(name, sh(script), { signal: soon(), join });
    const ended = await host.engine.exec(name, sh(script), { signal: soon(), join });
    const { tail } = await host.engine.exec(name, ['cat', '/tmp/once'], { signal: soon() });

    expect([running, ended]).toEqual([1, 2].map(() => ({ exitCode: 5, tail: '', adopted: true })));
    expect(tail).toBe('once\n');
  });

  it('is started by who joins it where nobody had started it', async () => {
    const left = new Error('left');
    let join = '';
    const noted = (exec: string) => {
      join = exec;
      throw left;
    };
    await expect(host.engine.exec(name, sh('echo me'), { signal: soon(), onCreated: noted })).rejects.toBe(left);

    const joined = await host.engine.exec(name, sh('echo me'), { signal: soon(), join });

    expect(joined).toEqual({ exitCode: 0, tail: 'me\n', adopted: false });
  });

  it('that the engine does not know is an error', async () => {
    const lost = host.engine.exec(name, ['true'], { signal: soon(), join: 'f'.repeat(64) });

    await expect(lost).rejects.toMatchObject({ code: 'engine.failed' });
  });

  it('is waited for when the gate restarts in the middle of its output', async () => {
    const script = 'echo before; touch /tmp/cut; while [ ! -e /tmp/go-on ]; do sleep 0.05; done; exit 6';
    const running = host.engine.exec(name, sh(script), { signal: soon() });
    await begun(name, '/tmp/cut');

    await host.restartGate();
    await host.engine.exec(name, ['touch', '/tmp/go-on'], { signal: soon() });

    expect(await running).toEqual({ exitCode: 6, tail: 'before\n', adopted: true });
  });
});

describe('a container that ends', () => {
  it('ends its command with container.exited', async () => {
    const short = await runWorkload(host, 'while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 4');

    const running = host.engine.exec(short, sh('touch /tmp/end; sleep 60'), { signal: soon() });

    await expect(running).rejects.toMatchObject({ code: 'container.exited', detail: { exit_code: 4 } });
  });

  it('and was removed ends its command, too', async () => {
    const gone = await runWorkload(host, 'sleep 300');
    const running = host.engine.exec(gone, sh('touch /tmp/began; sleep 60'), { signal: soon() });
    const outcome = expect(running).rejects.toMatchObject({ code: 'container.exited' });
    await begun(gone, '/tmp/began');

    await host.engine.remove(gone, soon());

    await outcome;
  });

  it('takes no further command', async () => {
    const stopped = await runWorkload(host, 'exit 0');
    await host.engine.wait(stopped, soon());

    const late = host.engine.exec(stopped, ['true'], { signal: soon() });

    await expect(late).rejects.toMatchObject({ code: 'container.exited' });
  });

  it('between a command and its start ends that as well, whatever the engine calls it', async () => {
    await using undo = new AsyncDisposableStack();
    const folder = temporaryFolder('exec');
    const front = undo.adopt(await startEngineFront(join(folder, 'engine.sock'), host.engineSocket), (it) =>
      it.close(),
    );
    const behind = undo.adopt(await openTestHost({ engineSocket: front.socketPath }), (it) => it.close());
    const ends = await runWorkload(behind, 'sleep 300');
    const { body } = await engineCall<{ State: { Pid: number } }>(host.engineSocket, 'GET', `/containers/${ends}/json`);
    front.refuse('POST', /\/exec\/[^/]+\/start/, () => {
      process.kill(body.State.Pid, 'SIGKILL');
      return 'OCI runtime exec failed: cannot exec in a stopped container';
    });

    await expect(behind.engine.exec(ends, ['true'], { signal: soon() })).rejects.toMatchObject({
      ...{ code: 'container.exited', detail: { exit_code: 137 } },
    });
  });

  it('not at all leaves a refusal of the engine what it is', async () => {
    await using undo = new AsyncDisposableStack();
    const folder = temporaryFolder('exec');
    const front = undo.adopt(await startEngineFront(join(folder, 'engine.sock'), host.engineSocket), (it) =>
      it.close(),
    );
    const behind = undo.adopt(await openTestHost({ engineSocket: front.socketPath }), (it) => it.close());
    const stays = await runWorkload(behind, 'sleep 300');
    front.refuse('POST', /\/exec\/[^/]+\/start/, () => 'no such thing as an exec');

    await expect(behind.engine.exec(stays, ['true'], { signal: soon() })).rejects.toMatchObject({
      code: 'engine.failed',
    });
  });
});
