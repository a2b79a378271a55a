/** The command `node-agent`: what an operator types on a host. Each command is a file of its own in `commands/`. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { exitCodes } from './exit-codes.ts';
import { reportError } from './output.ts';

const program = new Command('node-agent')
  .description('Turns a bare GPU host into a place where workloads run safely.')
  .showHelpAfterError('Run `node-agent --help` for the list of commands.')
  .exitOverride();
program.addHelpText(
  'after',
  '\nExit status: 0 done, 1 failed, 2 unusable input or configuration, 3 task rejected, 75 another node-agent is at work.',
);

const json = ['--json', 'machine-readable output', false] as const;
const config = ['--config <file>', 'configuration file (default: /etc/gpuaas-node-agent/agent.json)'] as const;

program
  .command('run-task <file>')
  .description('carry out one task ({type, params} or a whole envelope; - reads stdin) and print its result')
  .option(...config)
  .option(...json)
  .option('--pull-credential <file>', 'JSON file with {"username","password"} or {"bearer"} for the image of the task')
  .option('--wait <seconds>', 'how long to wait for another node-agent process to end', seconds, 600)
  .action(async (file, options) => {
    const { runTask } = await import('./commands/run-task.ts');
    process.exitCode = await guarded(options, () => runTask(file, options));
  });

program
  .command('schema [type]')
  .description('print the JSON Schema of a task type, of `envelope`, `result` or `config`; without a type, list them')
  .option('--output', 'the schema of the output instead of the params', false)
  .option(...json)
  .action(async (type, options) => {
    const { printSchema } = await import('./commands/schema.ts');
    process.exitCode = await guarded(options, async () => printSchema(type, options));
  });

program
  .command('doctor')
  .description('check whether this host can do its work, and say what to do where it cannot')
  .option(...config)
  .option(...json)
  .action(async (options) => {
    const { runDoctor } = await import('./commands/doctor.ts');
    process.exitCode = await guarded(options, () => runDoctor(options));
  });

program
  .command('config')
  .description('print the effective configuration and where each value came from')
  .option(...config)
  .option(...json)
  .action(async (options) => {
    const { printConfig } = await import('./commands/config.ts');
    process.exitCode = await guarded(options, () => printConfig(options));
  });

program
  .command('gate')
  .description('run the engine gate, the only process that holds the engine socket')
  .option(...config)
  .option(...json)
  .action(async (options) => {
    const { runGate } = await import('./commands/gate.ts');
    process.exitCode = await guarded(options, () => runGate(options));
  });

program
  .command('version')
  .description('print the version and the contracts it speaks')
  .option(...json)
  .action(async (options) => {
    const { printVersion } = await import('./commands/version.ts');
    process.exitCode = await guarded(options, async () => printVersion(options));
  });

async function guarded({ json }: { json: boolean }, command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    return reportError(error, json);
  }
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It must be a number of seconds.');
  }
  return value;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    throw error;
  }
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.unusable;
}
