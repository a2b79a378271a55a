import { execFileSync } from 'node:child_process';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { completionOf } from '../../../../src/cli/gpuaas/completion.ts';

function program(): Command {
  const root = new Command('gpuaas');
  const apps = root.command('apps');
  const instances = apps.command('instances');
  instances.command('launch').option('--allocation <id>').option('--json');
  instances.command('list');
  root.command('nodes');
  return root;
}

/** What a real bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const script = `${completionOf(program(), 'bash')}
    COMP_WORDS=(gpuaas "$@"); COMP_CWORD=$#; _gpuaas; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

describe('completion in bash', () => {
  it('offers the commands', () => {
    expect(offered('')).toEqual(['apps', 'nodes', '--help']);
  });

  it('offers commands of a command, by what was begun', () => {
    expect(offered('apps', 'instances', 'l')).toEqual(['launch', 'list']);
  });

  it('offers options, also behind an argument and other options', () => {
    expect(offered('apps', 'instances', 'launch', 'jupyterlab', '--json', '--a')).toEqual(['--allocation']);
  });
});

describe('completion in other shells', () => {
  it('knows the same commands', () => {
    expect(completionOf(program(), 'zsh')).toContain('bashcompinit');
    expect(completionOf(program(), 'fish')).toContain("' apps instances launch'");
  });
});
