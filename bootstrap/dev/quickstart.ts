/**
 * `npm run quickstart`: from a fresh machine to a running JupyterLab, the way that people of a platform would go.
 *
 *   engine, registry, image ─▶ control plane ─▶ allocation, artifact ─▶ this host becomes a node ─▶ launch ─▶ http://127.0.0.1:…
 *
 * Can be run again at any time: what is there is used, what is missing is made, what runs from other sources is replaced.
 * Only the gate runs as root, as on a host of a platform; agent and control plane have users of their own.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { forgetGvisor, offerGvisor } from './engine-gvisor.ts';
import { ensureGround, tearDown } from './ground.ts';
import { say, step } from './progress.ts';
import { daemonNames, stopDaemon } from './quickstart-daemons.ts';
import { jobOf } from './quickstart-job.ts';
import { ensureNotebook, type RunningNotebook } from './quickstart-notebook.ts';
import { ensureAppVersion } from './quickstart-packages.ts';
import { type Login, openTheWay, place } from './quickstart-place.ts';
import {
  endAllocation,
  ensureArtifact,
  ensureControlPlane,
  ensureNode,
  ensureTenancy,
  servedAllocation,
} from './quickstart-platform.ts';
import { ensureComposePlugin, ensurePrograms } from './quickstart-programs.ts';
import { writeProject } from './quickstart-project.ts';
import { ensureSquashfsTools } from './squashfs.ts';

const usage = `Usage: npm run quickstart [-- OPTION…]

Brings up a container engine, a registry, the curated image, a control plane and this host as its node, and launches
JupyterLab there. As root, as which of its daemons only the engine gate runs then.

  --gvisor  tell an engine that was here before of gVisor, under which projects run: in /etc/docker/daemon.json,
            without a restart, until --down. An engine that quickstart has brought along is told anyway
  --down    take everything away again
  --purge   with --down: also the system packages that it had installed
  --help    this text`;

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`${options}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    console.log(usage);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    console.error('Quickstart starts a container engine and changes the owner of folders: run it as root.');
    return 2;
  }
  process.umask(0o022);
  try {
    await (options.down ? down(options.purge) : up(options.gvisor));
    return 0;
  } catch (error) {
    const again = options.down ? `${place.command} -- --down` : place.command;
    console.error(`\n${sentenceOf(error)}\nWhat is there is kept. Mend that and run it again: ${again}`);
    return 1;
  }
}

interface Options {
  readonly gvisor: boolean;
  readonly down: boolean;
  readonly purge: boolean;
  readonly help: boolean;
}

/** The options, or what is wrong with them. */
function readOptions(args: readonly string[]): Options | string {
  const flag = { type: 'boolean', default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { gvisor: flag, down: flag, purge: flag, help: { ...flag, short: 'h' } },
    });
    if (values.purge && !values.down) return '--purge goes with --down only.';
    return values.gvisor && values.down ? '--gvisor does not go with --down.' : values;
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

async function up(isGvisorAsked: boolean): Promise<void> {
  openTheWay();
  part('1/5  engine, registry and the curated image (some minutes the first time)');
  const [{ engine, registry, images }] = await Promise.all([
    ensureGround(['runtime-cpu']),
    ensureComposePlugin(),
    ensureSquashfsTools(),
  ]);
  const gvisor = await offerGvisor(isGvisorAsked);

  part('2/5  control plane, with a project, an allocation and the image as a promoted artifact');
  await ensurePrograms();
  const login = await ensureControlPlane(registry.host);
  const tenancy = await ensureTenancy(login);
  const artifactId = await ensureArtifact(login, images['runtime-cpu']);
  writeFileSync(place.jobFile, `${JSON.stringify(jobOf(images['runtime-cpu'].reference), null, 2)}\n`);
  writeProject(place.projectDir, images['runtime-cpu'].reference);

  part('3/5  this host becomes the node of the allocation');
  const host = { engineSocket: engine.socketPath, registryHost: registry.host, hasGvisor: gvisor === undefined };
  await ensureNode(login, { allocationId: tenancy.allocationId, ...host });

  part('4/5  JupyterLab, through the API');
  const version = await ensureAppVersion(login, engine.bridgeAddress);
  const notebook = await ensureNotebook(login, { ...tenancy, artifactId, version });

  part('5/5  asking JupyterLab itself');
  const status = await fetch(`http://127.0.0.1:${notebook.port}/api/status?token=${notebook.token}`);
  if (!status.ok) throw new Error(`JupyterLab answers ${status.status} to its own token.`);
  tellWhere(notebook, login, gvisor);
}

/** `noGvisor`: why there is none. */
function tellWhere({ id, port, token, tunnel }: RunningNotebook, login: Login, noGvisor: string | undefined): void {
  const { GPUAAS_URL: url, GPUAAS_TOKEN } = login;
  const ports = [port, new URL(url).port].map((each) => `-L ${each}:127.0.0.1:${each}`).join(' ');
  console.log(`
JupyterLab runs, and the console shows it. Only this host gets to them; the tunnel brings both to your own computer, at the
same addresses:

  http://127.0.0.1:${port}/lab?token=${token}
  ${url}/#/instances/${id}

Sign in at the console:     ${GPUAAS_TOKEN}
Tunnel:                     ssh -N ${ports} ${tunnel?.split(' ').at(-1) ?? '<this host>'}
In a notebook, try:         import quickstart_hello; print(quickstart_hello.greeting)
The interface:              ${url}/openapi.json
Log in there, in a shell:   . ${place.loginFile}
  how JupyterLab is:        npx gpuaas apps instances describe ${id}
  what it writes:           npx gpuaas apps instances logs -f ${id}
  a job, to try one:        npx gpuaas jobs submit ${place.jobFile} --follow
${projectLines(noGvisor)}
How the host is:            npx node-agent status --config ${place.configFile}
  what happened there:      npx node-agent explain ${id} --config ${place.configFile}
Logs of the daemons:        ${place.logs}
Stop and remove it all:     ${place.command} -- --down`);
}

/** A project never runs under anything but gVisor. */
function projectLines(noGvisor: string | undefined): string {
  if (noGvisor !== undefined) return `  no project can run:       there is no gVisor, as ${noGvisor}`;
  return `  a project, to try one:    npx gpuaas jobs submit ${place.projectDir} --follow
  a copy, to change it:     cp -rT ${place.projectDir} ~/regression    # each quickstart writes its own anew`;
}

async function down(purge: boolean): Promise<void> {
  if (existsSync(place.configFile)) {
    part('ending the allocation, and with it what it has on this host');
    await clearHost();
  }
  part('ending agent, gate and control plane; removing registry, images, engine and folders');
  for (const name of daemonNames) await stopDaemon(name);
  rmSync(place.memory, { recursive: true, force: true });
  await forgetGvisor();
  const { kept } = await tearDown({ purge });
  for (const line of kept) {
    console.log(`kept: ${line}`);
  }
  console.log('All of quickstart is gone.');
}

/** Wakes what is needed for it: daemons that died have left behind what they ran, built and kept. */
async function clearHost(): Promise<void> {
  openTheWay();
  // Releases before gVisor wrote no sandboxes.
  const { allocation, sandboxes = {} }: { allocation: { id: string }; sandboxes?: object } = JSON.parse(
    readFileSync(place.configFile, 'utf8'),
  );
  // A configuration may name an allocation that this host never came to serve.
  const allocationId = servedAllocation() ?? allocation.id;
  const { engine, registry } = await ensureGround([]);
  await ensurePrograms();
  const login = await ensureControlPlane(registry.host);
  const host = { engineSocket: engine.socketPath, registryHost: registry.host, hasGvisor: 'gvisor' in sandboxes };
  await ensureNode(login, { allocationId, ...host });
  await step('taking away JupyterLab, jobs, and what is kept for later ones', () => endAllocation(login, allocationId));
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function part(text: string): void {
  say(`\n== ${text}`);
}

process.exitCode = await main(process.argv.slice(2));
