/** `gpuaas manifest validate`, `render`, `check` and `schema`: manifests in files, without a control plane. */
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { Type } from 'typebox';
import { readDocument } from '../../agent/read-document.ts';
import type { ExeScript } from '../../contract/exe-script.ts';
import { AgentError } from '../../contract/failures.ts';
import { judge, type PathError } from '../../contract/validate.ts';
import { type Dialect, dialects, judgeManifest, type ManifestVerdict, schemaTextOf } from '../../manifests/dialects.ts';
import { readProfileText } from '../../manifests/gpuaas/read-profile.ts';
import { type AcceptedJob, isJobDialect, type JobDialect, jobOf } from '../../manifests/job-dialects.ts';
import { locator } from '../../manifests/locate.ts';
import { readDocument as readManifest } from '../../manifests/read-document.ts';
import { errorsOfOrder } from '../../policy/check-job-plan.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from '../run-program.ts';
import { readBatch } from './batch-file.ts';
import { checkManifest } from './check-manifest.ts';
import { json } from './options.ts';
import { renderJob } from './render-job.ts';
import { renderManifest } from './render-manifest.ts';
import { manifestText } from './version-commands.ts';

/** Of a launch request, what decides how it is rendered. */
const anything = Type.Record(Type.String(), Type.Unknown());
const Values = Type.Object({ config: Type.Optional(anything), resource_overrides: Type.Optional(anything) });

export function addManifestCommands(program: Command, carry: Carry): void {
  const manifest = program.command('manifest').description('check and render manifests in files, offline');
  manifest
    .command('validate <files...>')
    .description('say all that is wrong with each manifest (YAML or JSON); exit status 0 all valid, 1 some are not')
    .addOption(new Option('--dialect <name>', 'kind of manifest, if not the one each is of').choices(dialects))
    .option(...json)
    .action((files: string[], options) => carry(() => validate(files, options)));
  manifest
    .command('render <file>')
    .description('print the task or plan that it becomes, without secrets; images that no --pin resolves are listed')
    .option('--values <file>', 'JSON file with a launch request; its config and resource_overrides count')
    .option('--script <file>', 'JSON file with the batch of commands that is carried out under a Golem manifest')
    .option('--pin <name=reference>', 'image of an artifact or of a job, as registry/repository@sha256:…', collectPin)
    .action((file: string, options) => carry(() => render(file, options)));
  manifest
    .command('check <file>')
    .description('say which commands of a batch the rules of a Golem manifest allow; exit status 0 all, 1 not all')
    .requiredOption(
      '--script <file>',
      'JSON file with the batch: a list of commands such as {"run": {"entry_point": …}}',
    )
    .addOption(
      new Option('--compat <network>', 'compare as the programs of that network do: docs/golem.md').choices(['yagna']),
    )
    .option(...json)
    .action((file: string, options) => carry(() => checkManifest(file, options)));
  manifest
    .command('schema')
    .addArgument(new Argument('<dialect>', 'kind of manifest').choices(dialects))
    .description('print the JSON Schema of a kind of manifest, for editors and programs')
    .action((dialect: Dialect) =>
      carry(async () => {
        process.stdout.write(schemaTextOf(dialect));
        return exitCodes.ok;
      }),
    );
}

/** Every file is looked at, also behind one that cannot be read. */
async function validate(files: readonly string[], options: { json: boolean; dialect?: Dialect }): Promise<number> {
  let isValid = true;
  const unreadable: unknown[] = [];
  for (const file of files) {
    const text = await manifestText(file).catch((error: unknown) => {
      unreadable.push(error);
      return undefined;
    });
    if (text === undefined) continue;
    const verdict = placed(file, text, judgeManifest(text, { dialect: options.dialect, now: Date.now() }));
    isValid &&= verdict.valid;
    if (options.json) printJson(verdict);
    else sayVerdict(verdict);
  }
  if (unreadable.length > 0) throw unreadable[0];
  return isValid ? exitCodes.ok : exitCodes.failed;
}

/** A fault of a manifest, with the line that it stands in; line and column are null for the document as a whole. */
interface Fault extends PathError {
  readonly line: number | null;
  readonly column: number | null;
}

interface Verdict {
  readonly file: string;
  readonly dialect: Dialect | null;
  readonly valid: boolean;
  readonly errors: readonly Fault[];
  readonly warnings: readonly Fault[];
}

function placed(file: string, text: string, { dialect, valid, errors, warnings }: ManifestVerdict): Verdict {
  // Faults of the text itself have no path, and the text cannot be relied on then.
  const locate = [...errors, ...warnings].some(({ path }) => path !== '') ? locator(text) : undefined;
  const put = ({ path, code, message }: PathError): Fault => {
    const { line = null, column = null } = locate?.(path) ?? {};
    return { path, code, message, line, column };
  };
  return { file, dialect, valid, errors: errors.map(put), warnings: warnings.map(put) };
}

function sayVerdict({ file, valid, errors, warnings }: Verdict): void {
  printLine(`${oneLine(file)}: ${valid ? 'valid' : 'not valid'}`);
  for (const { path, message, line, column } of valid ? warnings : errors) {
    const place = line === null ? '' : `${line}:${column} `;
    printLine(`  ${valid ? 'warning: ' : ''}${oneLine(`${place}${path || '/'} ${message}`)}`);
  }
}

interface RenderOptions {
  readonly values?: string;
  readonly script?: string;
  readonly pin?: Record<string, string>;
}

async function render(file: string, options: RenderOptions): Promise<number> {
  const { pin = {} } = options;
  const text = await manifestText(file);
  const verdict = judgeManifest(text);
  if (!verdict.valid) {
    sayVerdict(placed(file, text, verdict));
    return exitCodes.failed;
  }
  if (verdict.dialect !== null && isJobDialect(verdict.dialect)) return renderAsJob(text, verdict.dialect, options);
  if (options.script !== undefined) throw new AgentError('command.invalid', { reason: noScript });
  const read = readProfileText(text);
  if (!read.ok) return exitCodes.failed;
  const bare = Object.entries(pin).find(([, reference]) => !reference.includes('@'));
  if (bare) throw new AgentError('command.invalid', { reason: `--pin: ${bare[0]} needs a registry and a repository.` });
  const names = Object.values(read.profile.artifacts).map(({ artifact_name }) => artifact_name);
  const [stray] = Object.keys(pin).filter((name) => !names.includes(name));
  if (stray !== undefined) {
    throw new AgentError('command.invalid', {
      reason: `--pin: the manifest has ${names.join(', ')}, and no ${stray}.`,
    });
  }
  const given = options.values === undefined ? {} : await readDocument(options.values);
  const values = judge(Values, given);
  const done = values.ok
    ? renderManifest(read.profile, { config: {}, resource_overrides: {}, ...values.value, pins: pin })
    : values;
  if (done.ok) {
    printJson(done.rendered);
    return exitCodes.ok;
  }
  for (const { path, message } of done.errors) tell(`${path}: ${message}`);
  return exitCodes.failed;
}

async function renderAsJob(text: string, dialect: JobDialect, options: RenderOptions): Promise<number> {
  const { values, script: batch, pin = {} } = options;
  if (values !== undefined) {
    throw new AgentError('command.invalid', { reason: '--values: what becomes a job has no values to be filled in.' });
  }
  const document = readManifest(text);
  const job = document.ok ? jobOf(document.value) : undefined;
  if (!document.ok || !job) return exitCodes.failed;
  const script = batch === undefined ? undefined : await readBatch(batch);
  const wrong = script ? wrongWith(job, script) : [];
  for (const { path, message } of wrong) tell(oneLine(`${batch}: ${path} ${message}`));
  if (wrong.length > 0) return exitCodes.failed;
  printJson(renderJob(document.value, dialect, job, pin, script && { script }));
  return exitCodes.ok;
}

const noScript = '--script: only a Golem manifest has a batch of commands beside it.';

function wrongWith(job: AcceptedJob, script: ExeScript): readonly PathError[] {
  if (!job.checkScript) throw new AgentError('command.invalid', { reason: noScript });
  return [...errorsOfOrder(script), ...job.checkScript(script)];
}

function collectPin(pin: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, reference] = /^([a-z0-9][\w./:-]*)=((?:[^@\s=]+@)?sha256:[0-9a-f]{64})$/.exec(pin) ?? [];
  if (name === undefined || reference === undefined) {
    throw new InvalidArgumentError(
      'It must be NAME=registry/repository@sha256:<64 hex>, or NAME=sha256:… of an image of a job.',
    );
  }
  return { ...before, [name]: reference };
}
