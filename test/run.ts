/**
 * `npm test`: sets up what is missing, runs everything, and ends with one line `N passed, N failed, N skipped`.
 *
 * Static checks first (they are quick and say most), then the unit tests, then the real engine, registry, images and
 * browser are brought up for the integration tests, those of the console's pages, and those on hosts with systemd, whose
 * images are made beside the integration tests. A failing stage does not hide the later ones. The tests have a temporary
 * folder of their own, and leaving something there is a failure, too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { ubuntuIsAtHand } from '../bootstrap/dev/images/ubuntu-host.ts';
import { hostImages } from '../bootstrap/dev/images.ts';
import { memoryFolder } from './support/memory-folder.ts';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const root = resolve(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');
const reports = mkdtempSync(join(tmpdir(), 'gpuaas-test-'));
/** Temporary folders of the tests: of those of units, and of all others. A short name: paths of sockets in it have a limit. */
const [inMemory = '', temporary = ''] = [memoryFolder(), tmpdir()].map((place) => mkdtempSync(join(place, 'g')));
// As the temporary folder of a machine is: some tests run programs as other users.
for (const folder of [inMemory, temporary]) chmodSync(folder, 0o1777);
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
/** Of failed stages and tests, told once more at the end: what is far up in a long log is often cut away. */
const failures: string[] = [];

try {
  for (const [name, argv] of Object.entries({
    'format and lint': [join(bin, 'biome'), 'check', '.'],
    types: [join(bin, 'tsc'), '--noEmit'],
    'types of the console': [join(bin, 'tsc'), '--noEmit', '-p', join(root, 'src/console')],
    'dead code': [join(bin, 'knip')],
  })) {
    add(await check(name, argv));
  }
  add(await suite('unit'));
  if (await stage('engine, registry, images and browser', ground('--no-hosts'))) {
    const ubuntu = (await ubuntuIsAtHand()) ? ['host-ubuntu-24.04'] : [];
    const hosts = begin(ground(...hostImages, ...ubuntu));
    add(await suite('integration'));
    // Before pages are looked at: the network would change under the browser.
    const ready = await stage('images of hosts with systemd', hosts);
    add(await suite('browser', 'browser*'));
    add(ready ? await suite('host') : { passed: 0, failed: 1, skipped: 0 });
  } else {
    add({ passed: 0, failed: 3, skipped: 0 });
  }
  add(nothingLeft());
} finally {
  for (const folder of [reports, inMemory, temporary]) rmSync(folder, { recursive: true, force: true });
}

if (failures.length > 0) console.log(`\n== failed\n${failures.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

/** A static check counts as one test. */
async function check(name: string, argv: readonly string[]): Promise<Counts> {
  const ok = await stage(name, argv);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

async function suite(name: string, projects = name): Promise<Counts> {
  const report = join(reports, `${name}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const argv = [join(bin, 'vitest'), 'run', '--project', projects, ...reporters];
  const ok = await stage(`${name} tests`, argv, {
    ...process.env,
    TMPDIR: name === 'unit' ? inMemory : temporary,
    // A third of what the tests compute is programs of this checkout that start, from sources that are not built.
    NODE_COMPILE_CACHE: join(reports, 'compiled'),
  });
  return countsOf(report, ok);
}

/** Counts as one test, as a static check does. */
function nothingLeft(): Counts {
  const left = [inMemory, temporary].flatMap((folder) => readdirSync(folder));
  if (left.length === 0) return { passed: 1, failed: 0, skipped: 0 };
  failures.push(`left in the temporary folder: ${left.join(' ')}`);
  return { passed: 0, failed: 1, skipped: 0 };
}

/** A run that broke before or beside its tests counts as one failure more, so that it can never look green. */
function countsOf(report: string, ok: boolean): Counts {
  let counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    counts = { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
    failures.push(...failuresOf(testResults));
  } catch (error) {
    console.error(`no report of this stage: ${String(error)}`);
  }
  return ok || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

/** A part of vitest's JSON report. */
interface FileReport {
  readonly name: string;
  /** Why the file could not be run, else empty. */
  readonly message: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[];
  }[];
}

function failuresOf(files: readonly FileReport[]): string[] {
  return files.flatMap(({ name, message, assertionResults }) => [
    ...(message === '' ? [] : [toldShort(name, message)]),
    ...assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => toldShort(`${name} ${fullName}`, failureMessages.join('\n'))),
  ]);
}

function toldShort(title: string, message: string): string {
  const lines = stripVTControlCharacters(message).split('\n');
  const shown = [...lines.slice(0, 20), ...(lines.length > 20 ? ['…'] : [])];
  return [title, ...shown.map((line) => `  ${line.slice(0, 300)}`)].join('\n');
}

async function stage(name: string, work: readonly string[] | Begun, env = process.env): Promise<boolean> {
  console.log(`\n== ${name}`);
  const { ok, seconds } = await ('ended' in work ? endOf(work) : run(work, 'inherit', env));
  console.log(`== ${name}: ${ok ? 'ok' : 'FAILED'} in ${seconds.toFixed(1)} s`);
  if (!ok) failures.push(`stage "${name}"`);
  return ok;
}

async function run([program = '', ...args]: readonly string[], output: 'inherit' | number, env = process.env) {
  const startedAt = performance.now();
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', output, output], env });
  const [code] = await once(child, 'exit');
  return { ok: code === 0, seconds: (performance.now() - startedAt) / 1000 };
}

/** What goes on beside other stages: what it writes is shown when somebody waits for it. */
interface Begun {
  readonly ended: ReturnType<typeof run>;
  readonly output: string;
}

function begin(argv: readonly string[]): Begun {
  const output = join(reports, 'begun.log');
  return { ended: run(argv, openSync(output, 'w')), output };
}

async function endOf({ ended, output }: Begun): ReturnType<typeof run> {
  const end = await ended;
  process.stdout.write(readFileSync(output));
  return end;
}

function ground(...words: readonly string[]): string[] {
  return [process.execPath, join(root, 'bootstrap/dev/ground.ts'), ...words];
}

function add({ passed, failed, skipped }: Counts): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
