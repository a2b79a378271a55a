/** The same files are the same revision, whatever has packed them. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measureFile } from '../../../../src/kit/measure-file.ts';
import { openFolder } from '../../../../src/kit/tarball/open-folder.ts';
import { openTarball } from '../../../../src/kit/tarball/open-tarball.ts';
import type { Tarball } from '../../../../src/kit/tarball/tarball.ts';
import { canonicalTar, contentOf, contextOf, writePacked } from '../../../../src/kit/tarball/write-tar.ts';
import { pax, tarOf } from './tar-bytes.ts';

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'gpuaas-unit-tarball-'));
});

afterEach(() => {
  rmSync(place, { recursive: true, force: true });
});

describe('a revision', () => {
  const long = `${'deep/'.repeat(20)}a file with a long name.txt`;
  const files = {
    Dockerfile: 'FROM scratch\n',
    'job.py': 'print(1)\n',
    'a-b': '-',
    'a/b': '/',
    [long]: 'l',
    'leer/ü.txt': 'ü',
  };

  function project(): string {
    const folder = join(place, 'project');
    for (const [name, content] of Object.entries(files)) put(folder, name, content);
    mkdirSync(join(folder, 'empty/inside'), { recursive: true });
    chmodSync(join(folder, 'job.py'), 0o4755);
    symlinkSync('../job.py', join(folder, 'a/link'));
    linkSync(join(folder, 'a/b'), join(folder, 'z-hard'));
    put(folder, '.git/HEAD', 'ref');
    put(folder, 'a/__pycache__/x.pyc', 'p');
    return folder;
  }

  const known = ['gnu', 'oldgnu', 'pax', 'posix', 'ustar', 'v7'];

  it('of a folder is that of each tar that a program makes of it, plain and in gzip', async () => {
    const folder = project();
    const expected = await revisionOf(await openFolder(folder));

    // The format of 1979 has no room for the long name.
    for (const format of known) {
      const isOld = format === 'v7';
      if (isOld) rmSync(join(folder, 'deep'), { recursive: true });
      const tar = join(place, `${format}.tar`);
      execFileSync('tar', ['--format', format, '-C', folder, '-cf', tar, '.']);
      execFileSync('tar', ['--format', format, '-C', folder, '-czf', `${tar}.gz`, '.']);
      const revisions = [await revisionOf(await read(tar)), await revisionOf(await read(`${tar}.gz`))];
      const wanted = isOld ? await revisionOf(await openFolder(folder)) : expected;
      expect({ format, revisions }).toEqual({ format, revisions: [wanted, wanted] });
    }
  });

  it('is the same where the tar names its files only, in another order, by another owner at another time', async () => {
    const folder = project();
    rmSync(join(folder, 'empty'), { recursive: true });
    const tar = join(place, 'names.tar');
    const names = [...Object.keys(files), 'a/link', 'z-hard'].reverse();
    execFileSync('tar', ['-C', folder, '--owner=joe:7', '--mtime=@77', '--xattrs', '-cf', tar, ...names]);

    expect(await revisionOf(await read(tar))).toBe(await revisionOf(await openFolder(folder)));
  });

  it('is the same from what git archive gives', async () => {
    const folder = join(place, 'git');
    put(folder, 'Dockerfile', 'FROM scratch\n');
    put(folder, 'src/run.sh', '#!/bin/sh\n');
    chmodSync(join(folder, 'src/run.sh'), 0o755);
    symlinkSync('src/run.sh', join(folder, 'go'));
    const archive = save(Buffer.from(ofGit, 'base64'));

    expect(await revisionOf(await read(archive))).toBe(await revisionOf(await openFolder(folder)));
  });

  it('is another one for another byte, name, right to execute, link or empty folder', async () => {
    const folder = join(place, 'p');
    put(folder, 'a', '1');
    const seen = [await revisionOf(await openFolder(folder))];
    const changes = [
      () => put(folder, 'a', '2'),
      () => chmodSync(join(folder, 'a'), 0o755),
      () => mkdirSync(join(folder, 'b')),
      () => symlinkSync('a', join(folder, 'c')),
      () => put(folder, 'A', '2'),
    ];
    for (const change of changes) {
      change();
      seen.push(await revisionOf(await openFolder(folder)));
    }

    expect(new Set(seen).size).toBe(changes.length + 1);
  });

  it('has a known sha256: what is written for given files never changes', async () => {
    const tar = save(
      tarOf(
        { name: './', type: '5' },
        { name: './run', content: 'x', mode: 0o777 },
        pax([['path', 'ü']]),
        { content: 'y' },
        { name: 'l', type: '2', link: 'run' },
      ),
    );

    expect(await revisionOf(await read(tar))).toBe('d22c75519656b786d219cda4d77783b0a1c2d10bb28eab63d4a655c05f18a56e');
  });

  it('is what comes of its own tar, whatever files there are', async () => {
    const segment = fc.constantFrom('a', 'b', 'a-b', 'A', 'ä', '.x', 'x'.repeat(60), 'y'.repeat(255));
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    const file = fc.record({ path, size: fc.constantFrom(0, 1, 511, 512, 513, 3000), isProgram: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { maxLength: 12 }), async (drawn) => {
        const wanted = drawn.filter(
          ({ path: own }, index) => !drawn.some((other, at) => clash(own, other.path, at < index)),
        );
        const folder = mkdtempSync(join(place, 'drawn-'));
        const theirs = pack();
        for (const { path: name, size, isProgram } of wanted) {
          put(folder, name, 'z'.repeat(size), isProgram ? 0o755 : 0o644);
          theirs.entry({ name, mode: isProgram ? 0o711 : 0o600 }, 'z'.repeat(size));
        }
        theirs.finalize();

        const ofFolder = await openFolder(folder);
        const packed = canonicalTar(ofFolder);
        const own = await buffer(packed.stream());
        const again = await read(save(gzipSync(own)));
        const ofTheirs = await read(save(await buffer(theirs as unknown as NodeJS.ReadableStream)));

        expect(own.length).toBe(packed.bytes);
        expect(again.entries.map(({ offset, ...entry }) => entry)).toEqual(
          ofFolder.entries.map(({ offset, ...e }) => e),
        );
        expect(await revisionOf(again)).toBe(sha256(own));
        expect(await revisionOf(ofTheirs)).toBe(sha256(own));
      }),
      { numRuns: 40 },
    );
  });
});

describe('a context', () => {
  it('has the paths of its folder, what was put first, and contents as they were', async () => {
    const folder = join(place, 'p');
    put(folder, 'app/Dockerfile', 'FROM a\n');
    put(folder, 'app/lib/x.py', 'x');
    put(folder, 'other', 'o');
    symlinkSync('app', join(folder, 'here'));
    symlinkSync('lib/x.py', join(folder, 'app/y.py'));

    const context = await contextOf(await openFolder(folder), './here/', undefined, {
      name: 'Dockerfile',
      content: Buffer.from('FROM b\n'),
    });
    const tar = save(await buffer(context.stream()));

    expect(execFileSync('tar', ['-tf', tar], { encoding: 'utf8' })).toBe('Dockerfile\nlib/\nlib/x.py\ny.py\n');
    expect(execFileSync('tar', ['-xOf', tar, 'Dockerfile', 'lib/x.py'], { encoding: 'utf8' })).toBe('FROM b\nx');
    expect((await buffer(context.stream())).length).toBe(context.bytes);
  });
});

describe('what is in a tarball', () => {
  it('is given as it is, through links, and written as it is measured', async () => {
    const folder = join(place, 'p');
    put(folder, 'lib/x.py', 'x'.repeat(300_000));
    symlinkSync('lib', join(folder, 'to'));
    const tar = join(place, 'kept.tar');
    const written = await writePacked(canonicalTar(await openFolder(folder)), tar);
    const tarball = await read(tar);

    expect(written).toEqual(await measureFile(tar));
    expect((await buffer(contentOf(tarball, 'to/x.py').stream())).toString()).toBe('x'.repeat(300_000));
    expect(tarball.find('./to/../lib/x.py')).toMatchObject({ path: 'lib/x.py', size: 300_000 });
    expect([tarball.find('.'), tarball.find('../x'), tarball.find('no')]).toEqual(['root', undefined, undefined]);
    expect(() => contentOf(tarball, 'to')).toThrow('to is no file of the tarball.');
    await expect(contextOf(tarball, 'lib/x.py')).rejects.toThrow('lib/x.py is no folder of the tarball.');
  });

  it('is refused where it has changed since it was listed', async () => {
    const folder = join(place, 'p');
    put(folder, 'a', '1');
    const tarball = await openFolder(folder);
    put(folder, 'a', '22');

    await expect(revisionOf(tarball)).rejects.toThrow('a has changed while it was read.');
  });
});

const ofGit =
  'H4sIAAAAAAACA+3VT0vDMBgG8Jz9FBPvNv/exB28iTcR/AIjydJ22DWSduDHN9NbYQ7BFpzP75LSFF7ah6d5c++bpkvedZs2um3M7PfxwhjzuRbTtWxqJkhxKYxUnMp9oYlb1rAFHIbR5TIypzR+99y5/enL/REkVyHt97Ef70l579y6tltOkktLISjBSd15LZ2IVMd1rZ0RVwwuxkMKrzHXuy7ON+Or//p0/wVN+6+4Foyj/7N7fHl+Wg0huzG0KPb/06T5Zxz7YK093f9yPe2/ksTkkEOVD/3t0KL/Mzl+4mXyp5/kL4yWjPD/XyT/uSt2Nn8hp/lLaw3O/wXcXFd+11cDDn8AAAAAAAAAAAAAAIDL8AHDS8yPACgAAA==';

/** Nothing can have both paths. */
function clash(path: string, other: string, isEarlier: boolean): boolean {
  return (isEarlier && path === other) || path.startsWith(`${other}/`);
}

function put(folder: string, name: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), content, { mode });
}

let saved = 0;

function save(bytes: Buffer): string {
  saved += 1;
  const file = join(place, `saved-${saved}`);
  writeFileSync(file, bytes);
  return file;
}

async function read(file: string): Promise<Tarball> {
  return await openTarball({ file, spool: `${file}.spool` });
}

async function revisionOf(tarball: Tarball): Promise<string> {
  return sha256(await buffer(canonicalTar(tarball).stream()));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
