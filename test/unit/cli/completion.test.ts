import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { completionOf } from '../../../src/cli/completion.ts';
import { gpuaas } from '../../../src/cli/gpuaas-main.ts';
import { main } from '../../../src/cli/main.ts';
import { serveJson } from '../../support/serve-json.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const bin = join(temporaryFolder('completion'), 'bin');
const kinds = ['allocations', 'apps', 'instances'];

function program(): Command {
  const root = new Command('gpuaas');
  const apps = root.command('apps');
  const instances = apps.command('instances');
  instances.command('launch <app>').option('--allocation <id>').option('--name <text>').option('--json');
  instances.command('list');
  instances.command('stop <id>');
  root
    .command('tokens')
    .command('create')
    .addOption(new Option('--role <role>').choices(['admin', 'viewer']));
  return root;
}

/** What a real bash offers for the last of the words, with a `gpuaas` that knows one of each kind. */
function offered(...words: string[]): string[] {
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'gpuaas'), '#!/bin/sh\nprintf \'%s\\t%s\\n\' "one-of-$2" "with a name"\necho noise >&2\n');
  chmodSync(join(bin, 'gpuaas'), 0o755);
  const script = `${completionOf(program(), 'bash', kinds)}
    COMP_WORDS=(gpuaas "$@"); COMP_CWORD=$#; _gpuaas; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
  return execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8', env })
    .trim()
    .split('\n');
}

describe('completion in bash', () => {
  it('offers the commands', () => {
    expect(offered('')).toEqual(['apps', 'tokens', '--help']);
  });

  it('offers commands of a command, by what was begun', () => {
    expect(offered('apps', 'instances', 'l')).toEqual(['launch', 'list']);
  });

  it('offers options, also behind an argument and other options', () => {
    expect(offered('apps', 'instances', 'launch', 'jupyterlab', '--json', '--a')).toEqual(['--allocation']);
  });

  it('offers the values of an option, and nothing else there', () => {
    expect(offered('tokens', 'create', '--role', '')).toEqual(['admin', 'viewer']);
    expect(offered('tokens', 'create', '--role', 'v')).toEqual(['viewer']);
    expect(offered('apps', 'instances', 'launch', '--name', '')).toEqual(['']);
  });

  it('asks for what only the control plane knows', () => {
    expect(offered('apps', 'instances', 'stop', '')).toContain('one-of-instances');
    expect(offered('apps', 'instances', 'launch', '')).toContain('one-of-apps');
    expect(offered('apps', 'instances', 'launch', 'x', '--allocation', '')).toEqual(['one-of-allocations']);
    expect(offered('apps', 'instances', 'stop', '--')).not.toContain('one-of-instances');
  });
});

describe('completion in other shells', () => {
  it('knows the same commands', () => {
    expect(completionOf(program(), 'zsh', kinds)).toContain('bashcompinit');
    expect(completionOf(program(), 'fish', kinds)).toContain('" = " apps instances launch"');
    expect(completionOf(program(), 'fish', kinds)).toContain('(gpuaas complete allocations ');
  });
});

describe('what the scripts ask', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  async function printed(run: (args: readonly string[]) => Promise<number>, ...args: string[]) {
    const written: string[] = [];
    for (const stream of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[stream], 'write').mockImplementation((text) => written.push(String(text)) > 0);
    }
    const status = await run(args);
    vi.restoreAllMocks();
    return { status, text: written.join('') };
  }

  it('is answered by the control plane, by what an id or a name begins with, and without what would mean something to a shell', async () => {
    const item = (id: string, display_name: string, state = 'running') => ({ id, display_name, state });
    const items = [
      item('i-1', 'My\nnotes'),
      item('i-2', 'Other'),
      item('i-3', 'Gone', 'decommissioned'),
      item('$(x)', ''),
    ];
    const { url } = await serveJson({ items });
    vi.stubEnv('GPUAAS_URL', url);
    vi.stubEnv('GPUAAS_TOKEN', 'secret');

    expect((await printed(gpuaas, 'complete', 'instances')).text).toBe('i-1\tMy notes\ni-2\tOther\n');
    expect((await printed(gpuaas, 'complete', 'instances', 'My')).text).toBe('i-1\tMy notes\n');
    expect((await printed(gpuaas, 'complete', 'instances', 'i-2')).text).toBe('i-2\tOther\n');
  });

  it.each([
    ['no token', ''],
    ['nobody who answers', 'secret'],
  ])('is answered by silence where there is %s', async (_what, token) => {
    vi.stubEnv('GPUAAS_URL', 'http://127.0.0.1:1');
    vi.stubEnv('GPUAAS_TOKEN', token);

    expect(await printed(gpuaas, 'complete', 'instances')).toEqual({ status: 0, text: '' });
    expect(await printed(gpuaas, 'complete', 'nonsense')).toEqual({ status: 0, text: '' });
    expect(await printed(gpuaas, 'complete', 'constructor')).toEqual({ status: 0, text: '' });
  });

  it('is asked once: whoever waits for it would rather go on', async () => {
    let asked = 0;
    const server = createServer((request) => {
      asked += 1;
      request.socket.destroy();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    vi.stubEnv('GPUAAS_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    vi.stubEnv('GPUAAS_TOKEN', 'secret');

    expect(await printed(gpuaas, 'complete', 'instances')).toEqual({ status: 0, text: '' });

    expect(asked).toBe(1);
    server.close();
  });

  it('is answered by node-agent as well, which has a script of its own', async () => {
    expect((await printed(main, 'complete', 'types', 'workload.oci_c')).text).toBe('workload.oci_control\n');
    expect((await printed(main, 'completion', 'bash')).text).toContain(
      'complete -o default -F _node_agent node-agent\n',
    );
    expect((await printed(gpuaas, 'completion', 'bash')).text).toContain(
      "' nodes show') words='--json --help' kind='nodes'",
    );
  });
});
