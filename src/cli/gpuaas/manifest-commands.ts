/** `gpuaas manifest validate` and `render`: manifests in files, without a control plane. */
import { type Command, InvalidArgumentError } from 'commander';
import { Type } from 'typebox';
import { readDocument } from '../../agent/read-document.ts';
import { judge } from '../../contract/validate.ts';
import { type ReadProfile, readProfileText } from '../../manifests/gpuaas/read-profile.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from '../run-program.ts';
import { json } from './options.ts';
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
    .option(...json)
    .action((files: string[], options) => carry(() => validate(files, options)));
  manifest
    .command('render <file>')
    .description('print the task that a launch becomes, without secrets; images that no --pin resolves are listed')
    .option('--values <file>', 'JSON file with a launch request; its config and resource_overrides count')
    .option('--pin <name=reference>', 'image of an artifact, as registry/repository@sha256:…', collectPin, {})
    .action((file: string, options) => carry(() => render(file, options)));
}

async function validate(files: readonly string[], options: { json: boolean }): Promise<number> {
  let isValid = true;
  for (const file of files) {
    const read = readProfileText(await manifestText(file));
    isValid &&= read.ok;
    if (options.json) printJson(verdictOf(file, read));
    else sayVerdict(file, read);
  }
  return isValid ? exitCodes.ok : exitCodes.failed;
}

function verdictOf(file: string, read: ReadProfile) {
  const { errors, warnings } = read.ok
    ? { errors: [], warnings: read.warnings }
    : { errors: read.errors, warnings: [] };
  return { file, dialect: 'gpuaas', valid: read.ok, errors, warnings };
}

function sayVerdict(file: string, read: ReadProfile): void {
  printLine(`${oneLine(file)}: ${read.ok ? 'valid' : 'not valid'}`);
  for (const { path, message } of read.ok ? read.warnings : read.errors) {
    printLine(`  ${read.ok ? 'warning: ' : ''}${oneLine(`${path || '/'} ${message}`)}`);
  }
}

async function render(file: string, options: { values?: string; pin: Record<string, string> }): Promise<number> {
  const read = readProfileText(await manifestText(file));
  if (!read.ok) {
    sayVerdict(file, read);
    return exitCodes.failed;
  }
  const given = options.values === undefined ? {} : await readDocument(options.values);
  const values = judge(Values, given);
  const done = values.ok
    ? renderManifest(read.profile, { config: {}, resource_overrides: {}, ...values.value, pins: options.pin })
    : values;
  if (done.ok) {
    printJson(done.rendered);
    return exitCodes.ok;
  }
  for (const { path, message } of done.errors) tell(`${path}: ${message}`);
  return exitCodes.failed;
}

function collectPin(pin: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [, name, reference] = /^([a-z0-9][a-z0-9._-]*)=([^@\s]+@sha256:[0-9a-f]{64})$/.exec(pin) ?? [];
  if (name === undefined || reference === undefined) {
    throw new InvalidArgumentError('It must be NAME=registry/repository@sha256:<64 hex>.');
  }
  return { ...before, [name]: reference };
}
