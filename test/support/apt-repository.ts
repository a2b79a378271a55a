/** A repository of Debian packages of a test's own, signed by a key of its own, as a static folder. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Package {
  readonly name: string;
  readonly version: string;
  /** Programs that it installs in `/usr/bin`, each a shell script. */
  readonly programs?: Readonly<Record<string, string>>;
}

export interface AptRepository extends Disposable {
  readonly folder: string;
  readonly fingerprint: string;
  /** The public key in ASCII, as `gpgkey` in the folder has it as well. */
  readonly key: string;
  /** From now on it has these, for this processor, below a folder of its name. */
  offer(packages: readonly Package[]): void;
}

const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();

export function aptRepository(): AptRepository {
  const place = mkdtempSync(join(tmpdir(), 'gpuaas-apt-'));
  const [home, folder] = [join(place, 'gnupg'), join(place, 'repository')];
  mkdirSync(home, { mode: 0o700 });
  const at = join(folder, architecture);
  mkdirSync(at, { recursive: true });
  const gpg = (...args: string[]) =>
    execFileSync(
      'gpg',
      ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '', ...args],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
  gpg('--quick-generate-key', 'a test', 'rsa3072', 'sign', 'never');
  const key = gpg('--armor', '--export');
  writeFileSync(join(folder, 'gpgkey'), key);
  return {
    ...{ folder, key, fingerprint: /^fpr:+([0-9A-F]{40}):$/m.exec(gpg('--list-keys', '--with-colons'))?.[1] ?? '' },
    offer: (packages) => {
      rmSync(at, { recursive: true });
      mkdirSync(at);
      for (const each of packages) build(place, at, each);
      const index = readdirSync(at).map((name) => entry(at, name));
      writeFileSync(join(at, 'Packages'), index.join('\n'));
      const text = readFileSync(join(at, 'Packages'));
      const sum = `${createHash('sha256').update(text).digest('hex')} ${text.length} Packages`;
      const release = join(place, 'Release');
      writeFileSync(release, `Date: ${new Date().toUTCString()}\nSHA256:\n ${sum}\n`);
      rmSync(join(at, 'InRelease'), { force: true });
      gpg('--clearsign', '--output', join(at, 'InRelease'), release);
    },
    [Symbol.dispose]: () => {
      // Its agent holds the folder of the keys.
      execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'], { stdio: 'ignore' });
      rmSync(place, { recursive: true, force: true });
    },
  };
}

function build(place: string, at: string, { name, version, programs = {} }: Package): void {
  const root = join(place, 'root');
  mkdirSync(join(root, 'DEBIAN'), { recursive: true });
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  const control = {
    Package: name,
    Version: version,
    Architecture: 'all',
    Maintainer: 'a test <test@example.com>',
    Description: 'A test',
  };
  writeFileSync(
    join(root, 'DEBIAN/control'),
    Object.entries(control)
      .map(([field, value]) => `${field}: ${value}\n`)
      .join(''),
  );
  for (const [program, body] of Object.entries(programs)) {
    writeFileSync(join(root, 'usr/bin', program), `#!/bin/sh\n${body}\n`);
    chmodSync(join(root, 'usr/bin', program), 0o755);
  }
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', root, join(at, `${name}_${version}.deb`)], {
    stdio: 'ignore',
  });
  rmSync(root, { recursive: true });
}

function entry(at: string, name: string): string {
  const control = execFileSync('dpkg-deb', ['--field', join(at, name)], { encoding: 'utf8' });
  const bytes = readFileSync(join(at, name));
  return `${control}Filename: ./${name}\nSize: ${bytes.length}\nSHA256: ${createHash('sha256').update(bytes).digest('hex')}\n`;
}
