/** `bootstrap.sh` as a script: what can be said of it without a host. What it does to one is in `test/host/`. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const script = resolve(import.meta.dirname, '../../bootstrap/bootstrap.sh');
const text = readFileSync(script, 'utf8');
const folder = temporaryFolder('bootstrap-script');

/** Its functions with `words` after them in place of its last line, with no program but those of `path` to be found. */
function dash(words: string, path: string, input = '') {
  const functions = text.slice(0, text.lastIndexOf('{ main'));
  const { status, stdout, stderr } = spawnSync('/bin/dash', ['-c', `${functions}\ndefaults\n${words}`], {
    ...{ env: { PATH: path }, encoding: 'utf8', input },
  });
  return { status, stdout, stderr };
}
const usual = '/usr/sbin:/usr/bin:/sbin:/bin';

/** A folder of programs for PATH, each a script. */
function programs(name: string, scripts: Readonly<Record<string, string>>): string {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  for (const [program, body] of Object.entries(scripts)) {
    writeFileSync(join(place, program), `#!/bin/sh\n${body}\n`);
    chmodSync(join(place, program), 0o755);
  }
  return place;
}

describe('the script', () => {
  beforeAll(() => ensurePackages(['shellcheck']));

  it('has nothing that shellcheck would say otherwise', () => {
    const { status, stdout } = spawnSync('shellcheck', ['--shell=sh', script], { encoding: 'utf8' });

    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('does nothing when it arrives truncated, wherever it was cut', () => {
    const last = text.lastIndexOf('{ main');
    // Within a function the rest is a syntax error at once; between two of them there is something to carry out.
    const ends = [...text.slice(0, last).matchAll(/\n(?=[^ \n])/g)].map(({ index }) => index + 1);
    const cuts = [...ends, ...Array.from(text.slice(last, -2), (_, at) => last + at)];
    const run = (cut: number) =>
      spawnSync('/bin/dash', ['-s', '--', '--help'], { input: text.slice(0, cut), encoding: 'utf8' });

    const told = cuts.map(run).filter(({ stdout, stderr }) => stdout !== '' || /not found|^error:/m.test(stderr));

    expect(told.map(({ stdout, stderr }) => stdout + stderr)).toEqual([]);
    expect(run(text.length).stdout).toContain('Usage: bootstrap.sh');
  });
});

describe('its options', () => {
  it.each([
    [['--wrong'], 'There is no option --wrong.'],
    [['--url'], '--url needs a value.'],
    [['--url', 'https://cp.example.com/path'], '--url cannot be https://cp.example.com/path.'],
    [['--url', 'https://a\nb'], '--url cannot be'],
    [['--allocation-user', 'a b'], '--allocation-user cannot be a b.'],
    [['--registry', 'evil.example.com/$(id)'], '--registry cannot be evil.example.com/$(id).'],
    [['--engine-package', '-y'], '--engine-package cannot be -y.'],
    [['--channel', '../x'], '--channel cannot be ../x.'],
    [['--json'], '--json goes with --check.'],
    [['--purge'], 'go with --uninstall.'],
  ])('%j are refused with exit status 2', (args, words) => {
    const { status, stderr } = spawnSync('/bin/dash', [script, ...args], { encoding: 'utf8' });

    expect(status).toBe(2);
    expect(stderr).toContain(`error: ${words}`.slice(0, 60).replace('error: go', 'go'));
  });
});

describe('a join token', () => {
  const token = `${'a'.repeat(16)}.${'b'.repeat(43)}.${'c'.repeat(43)}`;
  const read = (file: string, input = '') =>
    dash(`TOKEN_FILE=${file}; read_token; echo "$TOKEN_BEARER $TOKEN_PIN"`, usual, input);

  it.each([token, ` ${token}\r\n`])('is read from standard input or a file for its owner alone: %j', (given) => {
    const file = join(folder, 'token');
    writeFileSync(file, given, { mode: 0o600 });
    const parts = `${'a'.repeat(16)}.${'b'.repeat(43)} ${'c'.repeat(43)}\n`;

    expect(read(file)).toEqual({ status: 0, stdout: parts, stderr: '' });
    expect(read('-', given).stdout).toBe(parts);
  });

  it.each(['', 'x', `${token}x`, `${token}\n${token}`, token.slice(1)])(
    'is not %j, of which nothing is repeated',
    (given) => {
      const { status, stderr } = read('-', given);

      expect(status).toBe(2);
      expect(stderr).toContain('no join token');
      expect(stderr).not.toContain('bbbb');
    },
  );

  it('is not taken from a file that others can read', () => {
    const file = join(folder, 'open');
    writeFileSync(file, token);
    chmodSync(file, 0o640);

    expect(read(file)).toMatchObject({ status: 2, stderr: expect.stringContaining(`chmod 600 ${file}`) });
  });
});

describe('the site prerequisites of a host with Hopper cards', () => {
  const fact = (name: string, path: string, sys = join(folder, 'no-sys')) =>
    dash(
      `SYS=${sys}; FACT= WARNING= REMEDY= PROBLEM=; fact_${name}; printf '%s|%s|%s' "$FACT" "$WARNING" "$REMEDY"`,
      path,
    ).stdout;
  const smi = (mode: string) =>
    programs(`smi-${mode}`, {
      'nvidia-smi': `case $1 in *persistence*) echo ${mode} ;; *driver*) echo 570.86.15 ;; esac`,
      systemctl: 'echo inactive; exit 3',
    });
  const pci = (name: string, devices: readonly (readonly [string, string])[]) => {
    for (const [at, [vendor, kind]] of devices.entries()) {
      const device = join(folder, name, `bus/pci/devices/0000:0${at}:00.0`);
      mkdirSync(device, { recursive: true });
      writeFileSync(join(device, 'vendor'), `${vendor}\n`);
      writeFileSync(join(device, 'class'), `${kind}\n`);
    }
    return join(folder, name);
  };

  it('are persistence mode, with the way to it where it is off', () => {
    expect(fact('persistence', `${smi('Enabled')}:${usual}`)).toBe('persistence mode Enabled ||');
    expect(fact('persistence', `${smi('Disabled')}:${usual}`)).toContain('|systemctl enable --now nvidia-persistenced');
    expect(fact('persistence', usual)).toBe('no NVIDIA driver||');
  });

  it("are the fabric manager of the driver's version where there is an NVSwitch, and there alone", () => {
    const switched = pci('switched', [
      ['0x10de', '0x030200'],
      ['0x10de', '0x068000'],
    ]);
    const plain = pci('plain', [
      ['0x10de', '0x030200'],
      ['0x8086', '0x068000'],
    ]);

    expect(fact('fabric', `${smi('Enabled')}:${usual}`, switched)).toContain(
      'nvidia-fabricmanager-570; systemctl enable --now',
    );
    expect(fact('fabric', `${smi('Enabled')}:${usual}`, plain)).toBe('0 NVSwitches||');
    const running = programs('running', { systemctl: 'echo active' });
    expect(fact('fabric', `${running}:${smi('Enabled')}:${usual}`, switched)).toBe(
      '1 NVSwitches, fabric manager active||',
    );
  });
});
