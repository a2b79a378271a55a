/**
 * The real processes crash in the middle of a launch, in every way that leaves something behind: a core, a report of Node, last
 * words in the journal. Nothing of that holds a secret, and the launch goes on in the next life.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { until } from '../support/daemon-ground.ts';
import { contentsBelow, privatePart, secretOf, secretsIn } from '../support/secrets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

const own = temporaryFolder('wire-crash');
const canary = (name: string) => `canary-${name}-${randomBytes(20).toString('hex')}`;
const carried = canary('carried');
const login = canary('login');
let wire: Wire;
let secrets: Record<string, string>;

beforeAll(async () => {
  const { host } = await ensureRegistry();
  const logins = join(own, 'logins.json');
  writeFileSync(logins, JSON.stringify({ [host]: { username: 'puller', password: login } }), { mode: 0o600 });
  const preload = resolve(import.meta.dirname, '../support/crash-on-signal.ts');
  const reports = '--report-on-fatalerror --report-uncaught-exception';
  const environment = (more = '') => ({
    NODE_OPTIONS: `--import ${preload} ${reports} ${more} --max-old-space-size=160`,
    GPUAAS_TEST_CANARY: carried,
  });
  wire = await openWire({
    environment: { agent: environment('--report-exclude-env'), server: environment() },
    serve: ['--registry-logins', logins],
  });
  secrets = {
    ...{ 'what an error carries, and the environment': carried, 'login of the registry': login },
    'token of the admin': secretOf(wire.admin.token),
    'token of the member': secretOf(wire.member.token),
    'join token': wire.joinToken.split('.')[1] ?? '',
    'identity key of the node': privatePart(join(wire.folder, 'state/identity')),
  };
});
afterAll(async () => await wire?.close());

const named = (pattern: RegExp) =>
  readdirSync(wire.folder, { recursive: true, encoding: 'utf8' }).filter((file) => pattern.test(basename(file)));

/** Files that hold a secret, and which, but the node's own keys. */
const leaks = () =>
  contentsBelow(wire.folder)
    .map(([file, content]) => [relative(wire.folder, file), secretsIn(content, secrets)] as const)
    .filter(([file, found]) => found.length > 0 && !file.startsWith('state/identity/'))
    .toArray();

describe.each(['agent', 'server'] as const)('the %s', (side) => {
  it.each([
    ['aborted from outside', 'SIGABRT'],
    ['with an exception that nobody caught', 'SIGUSR2'],
    ['out of heap', 'SIGPWR'],
  ] as const)('%s leaves no secret behind, and the launch goes on (G-160, G-210)', async (_how, signal) => {
    const { id, credentials } = await wire.launch({ wait_seconds: 5 });
    secrets[`token of ${id}`] = credentials[0].token;
    await until(async () => (await wire.containers(id))[0]?.State === 'running', 'the container to run');
    const { pid } = wire[side];
    execFileSync('prlimit', ['--pid', String(pid), '--core=unlimited:unlimited']);
    const filter = readFileSync(`/proc/${pid}/coredump_filter`, 'utf8');
    const reportsBefore = named(/^report\./).length;

    await wire[side].stop(signal);
    const [cores, reports] = [named(/^core/), named(/^report\./)];
    await wire[side].start();
    await wire.reaches(id, 'running');

    expect(Number.parseInt(filter, 16)).toBe(0);
    // Where the host sends cores elsewhere, there is none to look into.
    const here = /^[^|/]/.test(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'));
    if (here && signal !== 'SIGUSR2') expect(cores.length).toBeGreaterThan(0);
    // Node's last report of a process without memory has the environment, unless it was told otherwise from the start.
    const reported = signal === 'SIGPWR' && side === 'agent' ? 1 : 0;
    expect(reports.length - reportsBefore).toBe(reported);
    expect(leaks()).toEqual([]);
    expect(secretsIn(wire.logs(), secrets)).toEqual([]);
    expect(await wire.containers(id)).toHaveLength(1);
  });
});

it('says why it crashed', () => {
  const told = wire
    .logs()
    .split('\n')
    .filter((line) => line.includes('"level":"fatal"'));

  expect(told).toHaveLength(2);
  for (const line of told)
    expect(JSON.parse(line)).toMatchObject({ err: { message: 'a bug', cause: { message: 'below' } } });
});
