/** `bootstrap.sh` as a script: what can be said of it without a host. What it does to one is in `test/host/`. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { dash, bootstrapScript as script, bootstrapText as text, usual } from '../support/bootstrap-functions.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('bootstrap-script');

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
    [['--url', 'https://a[::1]'], '--url cannot be https://a[::1].'],
    [['--token-file', '/root/token'], '--token-file goes with --url.'],
    [['--registry', '-x.example.com'], '--registry cannot be -x.example.com.'],
    [['--registry-ca', '../x=/root/ca.pem'], '--registry-ca cannot be ../x=/root/ca.pem.'],
    [['--registry-ca', 'x.example.com=/root/*.pem'], '--registry-ca cannot be x.example.com=/root/*.pem.'],
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

  it.each([
    ['https://[2001:db8::1]:8443/', 'https://[2001:db8::1]:8443'],
    ['https://CP.example.com:443', 'https://cp.example.com'],
    ['http://localhost:8080', 'http://localhost:8080'],
  ])('%s names a control plane', (given, url) => {
    expect(dash(`arguments --url '${given}'; printf %s "$URL"`, usual).stdout).toBe(url);
  });

  it.each(['http://127.example.com', 'http://localhost.example.com', 'http://127.0.0.1.example.com:80'])(
    '%s is not this host, so it cannot do without TLS',
    (url) => {
      expect(dash(`URL=${url}; learn_trust`, usual)).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('https'),
      });
    },
  );
});

describe('what --check --json prints', () => {
  const json = ({ stdout }: { readonly stdout: string }) => JSON.parse(stdout) as Record<string, unknown>;

  it('is JSON whatever is wrong with the other options', () => {
    const ran = spawnSync('/bin/dash', [script, '--wrong', '--check', '--json'], { encoding: 'utf8' });

    expect(json(ran)).toMatchObject({ facts: [], outcome: 'failed', error: 'There is no option --wrong.' });
  });

  it.each([
    [`die 4 'a "b"' 'this'`, { outcome: 'refused', error: 'a "b"', what_to_do: 'this' }],
    ['false', { outcome: 'failed', error: 'It ended with status 1.', what_to_do: '' }],
    ['finish_json would_change; exit 3', { outcome: 'would_change' }],
  ])('is JSON although the look ends with %s', (end, expected) => {
    const ran = dash(`JSON=1; trap clean_up EXIT; row ok kernel '6\n1' ''; ${end}`, usual);

    const fact = { name: 'kernel', state: 'ok', fact: '6 1', would: '' };
    expect(json(ran)).toEqual({ facts: [fact], ...expected });
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

describe('a host that is a node already', () => {
  const state = join(folder, 'node-state');
  beforeAll(() => {
    mkdirSync(join(state, 'identity'), { recursive: true });
    writeFileSync(join(state, 'identity/node.json'), '{}');
  });

  it('does not miss the token that has made it one', () => {
    const read = (words: string) => dash(`${words}; TOKEN_FILE=${folder}/gone; read_token; printf %s "$TOKEN"`, usual);

    expect(read(`STATE=${state}`)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(read('STATE=/nowhere')).toMatchObject({ status: 2 });
  });

  it('goes on with the release that it has where the token is used up', () => {
    const trust = `gpuaas-join-pin-v1\nkey\n${'A'.repeat(43)}\n`;
    const pin = createHash('sha256').update(trust).digest('base64url');
    const learn = (place: string) =>
      dash(
        `get() {
          case $1 in
            */trust*) printf '${trust.replaceAll('\n', '\\n')}' >"$2"; printf 'Date: %s\r\n' "$(date -u '+%a, %d %b %Y %T GMT')" >"$WORK/headers" ;;
            *) echo 'curl: (22) The requested URL returned error: 403' >"$WORK/curl.err"; return 22 ;;
          esac
        }
        WORK=$(mktemp -d -p ${folder}); STATE=${place}; URL=https://cp.example.com; TOKEN_ID=a TOKEN_BEARER=b TOKEN_PIN=${pin}
        learn_trust; printf 'invited: %s' "$INVITED"`,
        usual,
      );

    expect(learn(state)).toEqual({ status: 0, stdout: 'invited: ', stderr: '' });
    expect(learn('/nowhere')).toMatchObject({ status: 1, stderr: expect.stringContaining('no longer valid') });
  });
});

describe('whoever is in between', () => {
  const server = spawn(process.execPath, [
    '-e',
    `
    const piece = Buffer.alloc(65536, 'a');
    const server = require('node:http').createServer((request, answer) => {
      const go = () => { while (!answer.destroyed && answer.write(piece)); };
      answer.on('drain', go);
      go();
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));`,
  ]);
  let port = '';
  beforeAll(async () => {
    port = String((await once(server.stdout, 'data'))[0]).trim();
  });
  afterAll(() => void server.kill());

  it.each([
    ['the trust', 2 ** 20, 'learn_trust', 'cannot be used'],
    [
      'a paper of the release',
      65_536,
      'SOURCE=$URL TOKEN_BEARER=b; fetch release.json $WORK/release.json 65536',
      'cannot be had',
    ],
  ])('fills no disk by %s, which has no end and does not say how long it is', (what, most, words, told) => {
    const work = join(folder, what);
    mkdirSync(work);

    const { status, stderr } = dash(
      `WORK='${work}'; URL=http://127.0.0.1:${port}; TOKEN_ID=a; ${words.replaceAll('$WORK', `'${work}'`)}`,
      usual,
    );

    const sizes = readdirSync(work).map((name) => statSync(join(work, name)).size);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(told) });
    expect(Math.max(...sizes)).toBeLessThanOrEqual(most + 1024);
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(most);
  });

  it.each([
    ['a command in a comment', "Thu, 26 Nov 2020 (';touch /pwned;') 14:00:00 GMT"],
    ['a command behind it', "Thu, 26 Nov 2020 14:00:00 GMT';touch /pwned;'"],
    ['nothing at all', ''],
  ])('writes no words of its own into what is to be done about the clock: %s', (_what, date) => {
    const { status, stderr } = dash(
      `WORK=$(mktemp -d -p ${folder}); URL=https://cp.example.com; cat >"$WORK/headers"; check_clock`,
      ...[usual, `Date: ${date}\r\n`],
    );

    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'error: https://cp.example.com does not tell the time.\n',
    });
  });

  it('has a time that is wrong told as it is', () => {
    const date = 'Thu, 26 Nov 2020 14:00:00 GMT';
    const { status, stderr } = dash(
      `WORK=$(mktemp -d -p ${folder}); URL=https://cp.example.com; cat >"$WORK/headers"; check_clock`,
      ...[usual, `HTTP/1.1 200 OK\r\ndate: ${date}\r\n`],
    );

    expect({ status, stderr }).toEqual({ status: 4, stderr: expect.stringContaining(`date -u -s '${date}'`) });
  });
});

describe('an agent that was taken over', () => {
  it.each([
    ['a pipe that nobody writes to', 'mkfifo "$STATE/identity/node.json"'],
    ['a link to what never ends', 'ln -s /dev/zero "$STATE/identity/node.json"'],
    ['a command', `echo ' "node_id": "x; reboot",' >"$STATE/identity/node.json"`],
    ['what steers a terminal', `printf ' "node_id": "\\033[2J",\n' >"$STATE/identity/node.json"`],
  ])('has root read, wait for and say nothing by %s in place of its node', (_what, make) => {
    const words = 'STATE=$(mktemp -d); mkdir "$STATE/identity"';

    const { status, stdout } = dash(`${words}; ${make}; node_of node_id; rm -r "$STATE"`, usual);

    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('is the node that its record says, where that is one', () => {
    const text = JSON.stringify({ node_id: '01k-a', control_plane: 'https://[::1]:8443', ca: '' }, null, 2);
    const words = 'STATE=$(mktemp -d); mkdir "$STATE/identity"; cat >"$STATE/identity/node.json"';

    const { stdout } = dash(`${words}; node_of node_id; node_of control_plane; rm -r "$STATE"`, usual, text);

    expect(stdout).toBe('01k-a\nhttps://[::1]:8443\n');
  });
});
