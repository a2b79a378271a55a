/**
 * The folders that `systemd/guard` works on, below one of a test's own, and the guard on them: by dash, with a `systemctl` that
 * only writes down what it was asked.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { rootPlaces, type UpdatePlaces } from '../../src/agent/update/places.ts';

const root = resolve(import.meta.dirname, '../..');
const guard = join(root, 'systemd/guard');
/** Programs of the guard that change something; a kill before each is a kill between any two changes. */
const changing = ['cat', 'sync', 'mv', 'ln', 'rm', 'mkdir', 'systemctl', 'sed'];

export interface GuardedHost {
  readonly folder: string;
  readonly places: UpdatePlaces;
  /** Puts a version where it would be installed. It says its version, and passes its self-test. */
  install(version: string, program?: string): void;
  point(name: string, version: string): void;
  /** What the agent leaves in its folder. */
  say(name: 'request' | 'alive' | 'stable', text: string): void;
  writePending(values?: Readonly<Record<string, string | number>>): void;
  /** Seconds since the boot. */
  setUptime(seconds: number): void;
  reboot(): void;
  /** `killAt`: SIGKILL to all of it before the n-th program that changes something. */
  guard(args: readonly string[], options?: GuardOptions): GuardRun;
  /** Calls of systemctl since the last question. */
  calls(): string[];
  /** What `current` says of itself. Throws where it leads nowhere. */
  runs(): string;
  guarded(name: string): string | undefined;
  link(name: string): string | undefined;
  versions(): string[];
}

export interface GuardOptions {
  readonly killAt?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface GuardRun {
  readonly code: number | null;
  readonly killed: boolean;
  readonly said: string;
}

export function programOf(version: string): string {
  return `#!/bin/sh\n[ "$1" = version ] && echo ${version}\nexit 0\n`;
}

export function guardedHost(folder: string): GuardedHost {
  const places = rootPlaces(folder);
  const calls = join(folder, 'calls');
  const plain = join(folder, 'bin');
  const killing = join(folder, 'killing');
  const boot = join(folder, 'proc/sys/kernel/random/boot_id');
  for (const each of [places.staged, places.guarded, join(places.installed, 'versions'), plain, killing]) {
    mkdirSync(each, { recursive: true });
  }
  mkdirSync(dirname(boot), { recursive: true });
  mkdirSync(dirname(places.releaseRoot), { recursive: true });
  const program = (file: string, text: string) => writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program(join(plain, 'systemctl'), `echo "$*" >>${calls}`);
  for (const name of changing) {
    const real = name === 'systemctl' ? join(plain, name) : realOf(name);
    program(
      join(killing, name),
      `n=$(($(/bin/cat ${folder}/steps 2>/dev/null || echo 0) + 1)); echo $n >${folder}/steps
[ "$n" = "$KILL_AT" ] && kill -KILL 0
exec ${real} "$@"`,
    );
  }

  const host: GuardedHost = {
    ...{ folder, places },
    install: (version, text = programOf(version)) => {
      mkdirSync(join(places.installed, 'versions', version), { recursive: true });
      writeFileSync(join(places.installed, 'versions', version, 'node-agent'), text, { mode: 0o755 });
    },
    point: (name, version) => symlinkSync(`versions/${version}`, join(places.installed, name)),
    say: (name, text) => writeFileSync(join(places.staged, name), text),
    writePending: (values = {}) => {
      const all = {
        ...{
          from: '0.1.0',
          to: '0.2.0',
          task: 'task-1',
          nonce: 'n1',
          attempts: 0,
          boot: readFileSync(boot, 'utf8').trim(),
        },
        ...{ since: 100, seq: 7, floor: 3, keys_seq: 2, ...values },
      };
      const lines = Object.entries(all).map(([key, value]) => `${key}=${value}\n`);
      writeFileSync(join(places.guarded, 'pending'), lines.join(''));
    },
    setUptime: (seconds) => writeFileSync(join(folder, 'proc/uptime'), `${seconds}.25 1.00\n`),
    reboot: () => writeFileSync(boot, `${randomUUID()}\n`),
    guard: (args, { killAt, env = {} } = {}) => {
      writeFileSync(join(folder, 'steps'), '0');
      const path = killAt === undefined ? plain : `${killing}:${plain}`;
      const { status, signal, stderr } = spawnSync('setsid', ['--wait', 'dash', guard, ...args], {
        env: { PATH: `${path}:${process.env['PATH']}`, GUARD_ROOT: folder, KILL_AT: `${killAt ?? ''}`, ...env },
        encoding: 'utf8',
      });
      return { code: status, killed: signal === 'SIGKILL' || status === 137, said: stderr };
    },
    calls: () => {
      const lines = existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : [];
      writeFileSync(calls, '');
      return lines.filter((line) => line !== '');
    },
    runs: () => {
      const { stdout, error } = spawnSync(join(places.installed, 'current/node-agent'), ['version'], {
        encoding: 'utf8',
      });
      if (error) throw error;
      return stdout.trim();
    },
    guarded: (name) => {
      const file = join(places.guarded, name);
      return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    },
    link: (name) => {
      const names = readdirSync(places.installed);
      return names.includes(name) ? readlinkSync(join(places.installed, name)) : undefined;
    },
    versions: () => readdirSync(join(places.installed, 'versions')).sort(),
  };
  host.reboot();
  host.setUptime(100);
  return host;
}

/** 0.2.0 was put in place of 0.1.0, and has to prove itself. */
export function hostOnTrial(folder: string, pending: Readonly<Record<string, string | number>> = {}): GuardedHost {
  const host = guardedHost(folder);
  host.install('0.1.0');
  host.install('0.2.0');
  host.point('current', '0.2.0');
  host.point('.back', '0.1.0');
  host.writePending(pending);
  return host;
}

function realOf(name: string): string {
  const folder = ['/usr/bin', '/bin'].find((each) => existsSync(join(each, name)));
  if (folder === undefined) throw new Error(`${name} is not on this machine`);
  return join(folder, name);
}
