/** Trouble in the middle of a bootstrap, function by function: a line that breaks, a full disk, others at work, a kernel without gVisor's network. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dash, usual, withPrograms } from '../support/bootstrap-functions.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('bootstrap-trouble');
const inFolder = (words: string) =>
  `cd ${folder}; WORK=$(mktemp -d -p ${folder}); mkdir "$WORK/own"; LOG=${folder}/log; ${words}`;

describe('a line that breaks in the middle', () => {
  // Of its own process, since the shell is waited for. How often it breaks is the path.
  const server = `let asked = {};
    require('node:http').createServer((request, answer) => {
      const often = Number(request.url.slice(1));
      asked[often] = (asked[often] ?? 0) + 1;
      if (often === 403) return answer.writeHead(403).end(String(asked[often]));
      answer.writeHead(200, { 'content-length': 9 }).write('half');
      if (asked[often] > often) answer.end('whole'); else setImmediate(() => answer.destroy());
    }).listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;
  const child = spawn(process.execPath, ['-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
  let origin: string;
  beforeAll(async () => {
    const [port] = await once(child.stdout, 'data');
    origin = `http://127.0.0.1:${String(port).trim()}`;
  });
  afterAll(() => void child.kill('SIGKILL'));
  const get = (path: string) =>
    dash(inFolder(`sleep() { :; }; get ${origin}/${path} "$WORK/got" 100; cat "$WORK/got"`), usual);

  it('is tried anew, from the beginning', () => {
    expect(get('2')).toEqual({ status: 0, stdout: 'halfwhole', stderr: '' });
  });

  it('is given up where it breaks each time, and what is refused is not asked for again', () => {
    expect(get('99').status).toBe(18);
    expect(get('403').status).toBe(22);
    expect(dash(inFolder(`get ${origin}/403 "$WORK/got" 100 || curl -s ${origin}/403`), usual).stdout).toBe('3');
  });
});

describe('a disk that is full in the middle', () => {
  const disk = join(folder, 'disk');
  const file = join(disk, 'agent.json');
  beforeAll(() => {
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'gpuaas-test', disk]);
    writeFileSync(file, 'before');
  });
  afterAll(() => void execFileSync('umount', [disk]));

  it('has nothing under the name of the program, and says where room is missing', () => {
    writeFileSync(join(folder, 'node-agent.gz'), gzipSync(Buffer.alloc(4 * 1024 * 1024)));
    const words = `WORK=${disk} OPT=${disk}/opt VERSION=1.0.0; obtain() { cp ${folder}/node-agent.gz "$2"; NAME=node-agent.gz; }; bring_binary`;

    const { status, stderr } = dash(inFolder(words), usual);

    expect([status, stderr]).toEqual([1, expect.stringContaining('Is the disk full? df -h')]);
    expect(existsSync(join(disk, 'opt'))).toBe(false);
  });

  it('leaves a file that is there as it was', () => {
    writeFileSync(join(folder, 'large'), Buffer.alloc(4 * 1024 * 1024));

    const { status } = dash(inFolder(`MODE=install; put 644 ${folder}/large ${file}`), usual);

    expect([status, readFileSync(file, 'utf8')]).toEqual([1, 'before']);
  });
});

it('works in a folder in which others see nothing that is for root alone', () => {
  const { stdout } = dash('work_folder; stat -c %a "$WORK" "$WORK/own"; rm -rf "$WORK"', usual);

  expect(stdout).toBe('711\n700\n');
});

it('waits for whoever is at work with the packages, and says who that is', () => {
  const dpkg = join(folder, 'dpkg');
  mkdirSync(dpkg);
  writeFileSync(join(dpkg, 'lock-frontend'), '');
  writeFileSync(join(folder, 'held'), '');
  // Whoever holds it ends once it was told that somebody waits.
  const words = `DPKG=${dpkg}; APT_LISTS=/nowhere; say() { printf '%s\\n' "$*"; rm ${folder}/held; }
    flock ${dpkg}/lock-frontend sh -c ': >${folder}/holds; while [ -e ${folder}/held ]; do sleep 0.05; done' &
    while [ ! -e ${folder}/holds ]; do sleep 0.05; done
    await_apt; wait; apt_holder; await_apt; echo on`;

  const { status, stdout } = dash(inFolder(words), usual);

  expect([status, stdout]).toEqual([
    0,
    expect.stringMatching(/^ +waiting: flock \(process \d+\) is at work with the packages of this host\non\n$/),
  ]);
});

describe('gVisor', () => {
  /** A `runsc` that starts with the networks named. */
  const tried = (starts: string) => {
    const runsc = `case "$*" in
      spec*) echo '{ "path": "rootfs" }' >config.json ;;
      *) grep -q '"path": "/"' config.json; for n in ${starts}; do case "$*" in *--network=$n*) exit 0 ;; esac; done; exit 128 ;;
    esac`;
    const path = withPrograms(join(folder, `runsc-${starts || 'none'}`), { runsc });
    return dash(inFolder('try_gvisor; echo on'), path);
  };

  it('is tried with the network that its containers will have, in which they find each other by name', () => {
    expect(tried('host')).toEqual({ status: 0, stdout: 'on\n', stderr: '' });
  });

  it.each(['', 'sandbox'])('is no runtime where it starts nothing so (%j)', (starts) => {
    expect(tried(starts)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('starts no sandbox on this host'),
    });
  });
});
