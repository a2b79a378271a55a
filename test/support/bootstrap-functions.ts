/** The functions of `bootstrap.sh` without a host: one by one, with programs of the test's own in place of those of the system. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const bootstrapScript = resolve(import.meta.dirname, '../../bootstrap/bootstrap.sh');
export const bootstrapText = readFileSync(bootstrapScript, 'utf8');

/** PATH of a system. */
export const usual = '/usr/sbin:/usr/bin:/sbin:/bin';

/** The functions with `words` after them in place of the script's last line, with no program but those of `path` to be found. */
export function dash(words: string, path: string, input = '') {
  const functions = bootstrapText.slice(0, bootstrapText.lastIndexOf('{ main'));
  const { status, stdout, stderr } = spawnSync('/bin/dash', ['-c', `${functions}\ndefaults\n${words}`], {
    ...{ env: { PATH: path }, encoding: 'utf8', input },
  });
  return { status, stdout, stderr };
}

/** PATH of a system in which these programs come first, each a script; they lie in `folder`. */
export function withPrograms(folder: string, scripts: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  for (const [program, body] of Object.entries(scripts)) {
    writeFileSync(join(folder, program), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return `${folder}:${usual}`;
}
