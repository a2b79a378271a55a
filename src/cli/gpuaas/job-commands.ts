/** `gpuaas jobs`: what is done once, from a document of its author. */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { AgentError, type Json } from '../../contract/failures.ts';
import { jobStates } from '../../contract/job-state.ts';
import { type Reading, readPlacedJson } from '../../contract/strict-json.ts';
import { jobDialects } from '../../manifests/job-dialects.ts';
import type { JobView } from '../../server/jobs/job-view.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell, tellFailure } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry as PlainCarry } from '../run-program.ts';
import { type ProofFiles, readProofs } from '../signed-manifest.ts';
import { readBatch } from './batch-file.ts';
import { type Carry, withControlPlane } from './carry.ts';
import type { ControlPlaneClient } from './client.ts';
import { addJobOutputCommands } from './job-output-commands.ts';
import { describeJob } from './job-page.ts';
import { jobPath, jobsPath } from './job-path.ts';
import { printJobLogs } from './logs.ts';
import { amount, atLeastOne, given, json, projectOption, whole } from './options.ts';
import type { PushedProject, PushOptions } from './push-project.ts';
import { addRevisionCommands } from './revision-commands.ts';
import { type Column, field, printList } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';
import { manifestText } from './version-commands.ts';
import { standingOf, untilJobEnded } from './watch-job.ts';

const buildNetworks = ['none', 'bridge'] as const;

const columns: Column[] = [
  ['ID', field('id')],
  ['NAME', field('name')],
  ['STATE', field('state')],
  ['STEPS', (item) => `${field('steps_ended')(item)} of ${field('steps_total')(item)}`],
  ['SUBMITTED', field('created_at')],
  ['NODE', field('node_name')],
  ['PROJECT', field('project_id')],
  ['REASON', field('reason')],
];

export function addJobCommands(program: Command, plain: PlainCarry): void {
  const carry = withControlPlane(plain);
  const jobs = refuseUnknownCommands(
    program.command('jobs').description('what is done once, from a document of its author'),
  );
  jobs
    .command('list', { isDefault: true })
    .description('list the jobs that this token sees, newest first')
    .option('--project <id>', 'only of this project')
    .addOption(new Option('--state <state>', 'only in this state').choices(jobStates))
    .option(...json)
    .action(({ project, state, json: isJson }: { project?: string; state?: string; json: boolean }) =>
      carry((client) =>
        printList(client, jobsPath, { json: isJson, query: { project_id: project, state }, columns, none: 'No jobs.' }),
      ),
    );
  addSubmit(jobs, carry);
  jobs
    .command('push <path>')
    .description('make a revision of a project for jobs: of its folder, or of a tar of it, plain or in gzip')
    .addOption(projectOption())
    .option(...json)
    .action((path: string, options: PushOptions) =>
      carry(async (client) => {
        const { pushProject } = await import('./push-project.ts');
        const { revision, isNew } = await pushProject(client, path, options);
        if (options.json) return printJson({ ...revision, is_new: isNew });
        tellWarnings(revision);
        printLine(revisionLine(revision, isNew));
      }),
    );
  jobs
    .command('describe <id>')
    .description('how a job and each of its steps is, what ran and what came out, and what to do')
    .option('--flow-state', 'in JSON, as tools of the network read it that its document was written for', false)
    .option(...json)
    .action((id: string, options: { flowState: boolean; json: boolean }) =>
      carry(async (client) => {
        if (options.flowState) return printJson(await client.get<Json>(`${jobPath(id)}/flow-state`));
        const job = await client.get<JobView>(jobPath(id));
        const { readUnverified } = await import('../../policy/job-receipts.ts');
        const said = readUnverified(job.receipt ?? '') ?? null;
        if (options.json) printJson({ ...job, said });
        else printLine(describeJob(job, said, Date.now()));
      }),
    );
  jobs
    .command('logs <id>')
    .description('what its steps have written, each line behind the name of its step')
    .option('-f, --follow', 'wait for what comes, until the job is over', false)
    .option('--step <id>', 'only of this step; `build` is what the build of its image says')
    .option('--tail <lines>', 'last lines, of each step', whole)
    .option(...json)
    .action((id: string, { follow, step, tail, json: isJson }) =>
      carry((client) => printJobLogs(client, `${jobPath(id)}/logs`, { follow, step, tail }, isJson)),
    );
  jobs
    .command('cancel <id>')
    .description('end a job, its containers with their grace, and wait until it is over')
    .option('--no-wait', 'ask for it only')
    .option(...json)
    .action((id: string, { wait, json: isJson }: { wait: boolean; json: boolean }) =>
      carry(async (client) => {
        const asked = await client.change<JobView>('POST', `${jobPath(id)}/cancel`);
        say(wait ? await untilJobEnded(client, asked, { json: isJson, follow: false }) : asked, isJson);
      }),
    );
  jobs
    .command('remove <id>')
    .description('take a job that is over out of the lists, and off its host what it was to keep there')
    .option(...json)
    .action((id: string, { json: isJson }: { json: boolean }) =>
      carry(async (client) => {
        const { removed } = await client.change<{ removed: boolean }>('DELETE', jobPath(id));
        if (isJson) printJson({ id, removed });
        else printLine(removed ? `${id} is gone.` : `${id} goes once its host has taken away what is left of it.`);
      }),
    );
  addJobOutputCommands(jobs, plain);
  addRevisionCommands(jobs, carry);
}

interface SubmitOptions extends ProofFiles {
  readonly script?: string;
  readonly partner?: string;
  readonly compat?: 'yagna';
  readonly allow?: readonly string[];
  readonly revision?: string;
  readonly payload?: string;
  readonly buildNetwork?: 'none' | 'bridge';
  readonly requirements?: string;
  readonly resumeFromLatest: boolean;
  readonly dialect?: string;
  readonly project?: string;
  readonly name?: string;
  readonly sandbox?: string;
  readonly gpus?: number;
  readonly cpus?: number;
  readonly memory?: number;
  readonly shm?: number;
  readonly disk?: number;
  readonly continueOnFailure: boolean;
  readonly deadline?: number;
  readonly keep: boolean;
  readonly retries?: number;
  readonly allocation?: string;
  readonly wait: boolean;
  readonly follow: boolean;
  readonly json: boolean;
}

function addSubmit(jobs: Command, carry: Carry): void {
  jobs
    .command('submit [file]')
    .description(
      'submit a job: from a document in JSON or YAML, where - is standard input, of a project in a folder, which is pushed first, or of a revision',
    )
    .option('--revision <sha256>', 'run this revision of a project that was pushed, in place of a document')
    .option('--payload <file>', 'JSON that the task of a revision is given; - is standard input')
    .option('--requirements <json>', 'what its host has to have, in place of what the revision says')
    .addOption(
      new Option('--build-network <network>', 'what the build of a revision may reach; none, by default').choices(
        buildNetworks,
      ),
    )
    .option('--script <file>', 'JSON list of the commands that are carried out under a Golem manifest')
    .option('--signature <file>', 'signature of the base64 of that manifest, by the author of the application')
    .option('--certificate <file>', 'certificate of the author: DER, or PEM in which the one who signs comes last')
    .option('--algorithm <digest>', 'digest of the signature, as OpenSSL calls it; by default sha256')
    .option('--partner <file>', 'what makes the project a partner: JSON {document, signature, algorithm, certificate}')
    .addOption(
      new Option('--compat <network>', 'compare commands as the programs of that network do').choices(['yagna']),
    )
    .option(
      '--allow <address>',
      'https://host[:port] that it may reach, and nothing else; can be given again',
      collectAddress,
    )
    .option('--resume-from-latest', 'an attempt that follows another goes on from the newest checkpoints', false)
    .addOption(new Option('--dialect <name>', 'kind of document, if not the one it is of').choices(jobDialects))
    .addOption(projectOption())
    .option('--name <name>', 'name for people')
    .addOption(new Option('--sandbox <runtime>', 'how its containers are kept apart').choices(['runc', 'gvisor']))
    .option('--gpus <count>', 'cards of each step that asks for one', whole)
    .option('--cpus <cores>', 'cores of all its containers together', amount)
    .option('--memory <gib>', 'memory of all its containers together, in GiB', amount)
    .option('--shm <gib>', 'shared memory of each container, in GiB; part of its memory', amount)
    .option('--disk <gib>', 'free disk that its host must have, in GiB', whole)
    .option('--continue-on-failure', 'later groups run after a step that failed', false)
    .option('--deadline <seconds>', 'most seconds that it may take on its host', atLeastOne)
    .option(
      '--retries <count>',
      'how often it is begun anew where the failure is none of its own; 3 with --resume-from-latest, else 0',
      whole,
    )
    .option('--keep', 'containers and volumes stay on the host until it is removed', false)
    .option('--allocation <id>', 'the only allocation that it may run on')
    .option('--wait', 'wait until it is over; exit status 0 only if it has succeeded', false)
    .option('--follow', 'the same, and print what its steps write; how it stands goes to stderr', false)
    .option(...json)
    .action((file: string | undefined, options: SubmitOptions) =>
      carry(async (client) => {
        const job = await client.change<JobView>('POST', jobsPath, await requestOf(client, file, options));
        // Those of its document are told where it is judged, and those of its own requirements nowhere else.
        const isOwn = (path: string) =>
          path.startsWith('/options/') || (options.requirements !== undefined && path.startsWith('/requirements'));
        const warnings = job.warnings.filter(({ path }) => isOwn(path));
        if (!options.json) tellWarnings({ warnings });
        if (!options.wait && !options.follow) {
          say(job, options.json);
          return exitCodes.ok;
        }
        const over = await untilJobEnded(client, job, options);
        // Stdout has the log, and nothing else.
        if (options.follow && !options.json) tell(standingOf(over));
        else say(over, options.json);
        if (!options.json && over.failure) tellFailure(over.state, over.failure);
        return over.state === 'succeeded' ? exitCodes.ok : exitCodes.failed;
      }),
    );
}

function collectAddress(address: string, before: readonly string[] = []): readonly string[] {
  return [...before, address];
}

async function textOf(file: string): Promise<string> {
  return file === '-' ? (await buffer(process.stdin)).toString('utf8') : await manifestText(file);
}

function readJson(text: string, reading?: Reading): Json {
  const read = readPlacedJson(Buffer.from(text), reading);
  if (read.ok) return read.value as Json;
  throw new AgentError('command.invalid', { reason: `That is no JSON: ${read.errors[0]?.message}.` });
}

interface Source {
  readonly document?: string;
  readonly revision?: string | undefined;
  /** That it was pushed to. */
  readonly project_id?: string;
  /** Of the job, where nobody gives it one. */
  readonly name?: string | undefined;
}

function tellWarnings({ warnings }: Pick<PushedProject['revision'], 'warnings'>): void {
  for (const { path, message } of warnings) tell(oneLine(`warning: ${path || '/'} ${message}`));
}

/** What the job is of. The files of a folder are pushed; while they are the same, so is the revision. */
async function sourceOf(client: ControlPlaneClient, file: string | undefined, options: SubmitOptions): Promise<Source> {
  const { revision } = options;
  if ((file === undefined) === (revision === undefined)) {
    const reason = 'Name the file of a document, the folder of a project, or a revision by --revision.';
    throw new AgentError('command.invalid', { reason });
  }
  if (file === undefined) return { revision };
  if (file === '-' || !(await isFolder(file))) return { document: await textOf(file) };
  if (options.dialect !== undefined || options.sandbox === 'runc') {
    const reason = 'A folder is a Computalot project, whose sandbox is gvisor: leave --dialect and --sandbox out.';
    throw new AgentError('command.invalid', { reason });
  }
  const { pushProject } = await import('./push-project.ts');
  const { revision: pushed } = await pushProject(client, file, options);
  if (!options.json) tellWarnings(pushed);
  return { revision: pushed.sha256, project_id: pushed.project_id, name: nameOf(file) };
}

/** What cannot be looked at is no folder: whoever reads it says why. */
async function isFolder(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isDirectory() === true;
}

/** Of a job, as its folder is called; undefined where that is no name. */
function nameOf(folder: string): string | undefined {
  const name = oneLine(basename(resolve(folder)))
    .slice(0, 128)
    .trim();
  return name === '' ? undefined : name;
}

async function requestOf(client: ControlPlaneClient, file: string | undefined, options: SubmitOptions): Promise<Json> {
  const { gpus, cpus, memory, shm, disk, continueOnFailure, keep } = options;
  const payload = options.payload === undefined ? undefined : readJson(await textOf(options.payload), { exact: true });
  const requirements = options.requirements === undefined ? undefined : readJson(options.requirements);
  const amounts = { gpu_count: gpus, cpu_cores: cpus, memory_gib: memory, shm_gib: shm, disk_gib: disk };
  const resources = given(amounts);
  const script = options.script === undefined ? undefined : await readBatch(options.script);
  const { proof, partner } = await readProofs(options);
  const { document, revision, project_id, name } = await sourceOf(client, file, options);
  return given({
    ...{ script: script as Json | undefined, proof: proof as Json | undefined, partner: partner as Json | undefined },
    command_policy: options.compat,
    ...{ document, revision, payload, requirements },
    ...{ dialect: options.dialect, project_id: options.project ?? project_id, name: options.name ?? name },
    options: given({
      ...{ resources, sandbox: options.sandbox, deadline_seconds: options.deadline, retries: options.retries },
      ...{ keep: keep || undefined, allocation_id: options.allocation },
      on_failure: continueOnFailure ? 'continue' : undefined,
      checkpointing: options.resumeFromLatest ? { resume_from_latest: true } : undefined,
      build_network: options.buildNetwork,
      allow: options.allow as Json | undefined,
    }),
  });
}

function revisionLine({ sha256, accepting_jobs }: PushedProject['revision'], isNew: boolean): string {
  const been = isNew ? '' : ' was there already and nothing was sent; it';
  return `${sha256}${been} ${accepting_jobs ? 'takes jobs' : 'takes no jobs: its files are gone'}`;
}

function say(job: JobView, isJson: boolean): void {
  if (isJson) printJson(job);
  else printLine(standingOf(job));
}
