/** The command line of `gpuaas`. Each command is a file in `commands/`. */
import { Command, Option } from 'commander';
import { channels } from '../server/db/entities/artifact.ts';
import { defaultDoorLimits } from '../server/http/door.ts';
import { defaultRateSizes } from '../server/http/rate-limits.ts';
import { defaultOutputLimits } from '../server/job-outputs/keep-outputs.ts';
import { artifactPolicies, type ServeOptions } from './commands/serve-options.ts';
import { addCompletion } from './completion.ts';
import { addAppCommands } from './gpuaas/app-commands.ts';
import { addArtifactCommands } from './gpuaas/artifact-commands.ts';
import { withControlPlane } from './gpuaas/carry.ts';
import { completions } from './gpuaas/completions.ts';
import { addCredentialCommands } from './gpuaas/credential-commands.ts';
import { addFleetCommands } from './gpuaas/fleet-commands.ts';
import { addJobCommands } from './gpuaas/job-commands.ts';
import { addKeyCommands } from './gpuaas/key-commands.ts';
import { addManifestCommands } from './gpuaas/manifest-commands.ts';
import { addNodeCommands } from './gpuaas/node-commands.ts';
import { addReleaseCommands } from './gpuaas/release-commands.ts';
import { addReleaseKeyCommands } from './gpuaas/release-key-commands.ts';
import { addRolloutCommands } from './gpuaas/rollout-commands.ts';
import { addSmokeCommands } from './gpuaas/smoke-commands.ts';
import { addStoreCommands } from './gpuaas/store-commands.ts';
import { type Carry, runProgram } from './run-program.ts';

/** Carries out one command line (without the program's name) and returns its exit status. */
export function gpuaas(args: readonly string[]): Promise<number> {
  return runProgram(programOf, args);
}

function programOf(carry: Carry): Command {
  const program = new Command('gpuaas')
    .description('The GPUaaS control plane: serves it, and speaks to it.')
    .showHelpAfterError('Run `gpuaas --help` for the list of commands.')
    .exitOverride();
  program.addHelpText(
    'after',
    '\nGPUAAS_URL is the control plane (http://127.0.0.1:8080 by default), GPUAAS_TOKEN the token for it,\n' +
      'GPUAAS_CA a PEM file with the only CA to trust for it (default: the CAs of the system),\n' +
      'GPUAAS_PROJECT the project of launches and jobs that name none.\n' +
      'Exit status: 0 done, 1 failed, 2 unusable input or configuration, 3 refused, 69 not reachable, 75 still going on.',
  );
  addServe(program, carry);
  for (const add of [
    addAppCommands,
    addFleetCommands,
    addCredentialCommands,
    addNodeCommands,
    addArtifactCommands,
    addKeyCommands,
    addRolloutCommands,
    addSmokeCommands,
  ]) {
    add(program, withControlPlane(carry));
  }
  addManifestCommands(program, carry);
  addStoreCommands(program, carry);
  addReleaseCommands(program, carry);
  addJobCommands(program, carry);
  addReleaseKeyCommands(program, carry);
  addCompletion(program, carry, completions);
  return program;
}

function addServe(program: Command, carry: Carry): void {
  const variable = (flags: string, description: string, name: string) =>
    new Option(flags, description).env(`GPUAAS_SERVER_${name}`);
  program
    .command('serve')
    .description('run the control plane: HTTP API, sessions of nodes, embedded store')
    .option('--init', 'make store, keys and the first admin token (printed once) where they are missing', false)
    .option('--new-admin-token', 'make one more admin token and print it', false)
    .option('--new-keys', 'make keys for a store whose own are lost; every node has to enrol again', false)
    .addOption(variable('--data-dir <folder>', 'store and keys', 'DATA_DIR').default('/var/lib/gpuaas-server'))
    .addOption(
      variable('--listen <host:port>', 'where to listen; port 0 takes a free one', 'LISTEN').default('127.0.0.1:8080'),
    )
    .addOption(
      variable('--public-url <origin>', 'origin that nodes and people use (default: where it listens)', 'PUBLIC_URL'),
    )
    .addOption(variable('--tls-cert <file>', 'PEM of the certificate, with its chain', 'TLS_CERT'))
    .addOption(variable('--tls-key <file>', 'PEM of its private key', 'TLS_KEY'))
    .addOption(variable('--ca <file>', 'PEM of the CA that nodes shall trust (default: the CAs of their system)', 'CA'))
    .addOption(
      variable('--insecure-listen', 'listen beyond this machine without TLS', 'INSECURE_LISTEN').default(false),
    )
    .addOption(variable('--registry <hosts...>', 'registries that artifacts may come from', 'REGISTRY').default([]))
    .addOption(
      variable(
        '--token-registry <hosts...>',
        'those of them that take tokens of this control plane',
        'TOKEN_REGISTRY',
      ).default([]),
    )
    .addOption(
      variable(
        '--registry-logins <file>',
        'JSON {host: {username, password}} for registries that ask',
        'REGISTRY_LOGINS',
      ),
    )
    .addOption(
      variable('--artifact-policy <least>', 'least lifecycle of an artifact that is launched', 'ARTIFACT_POLICY')
        .choices([...artifactPolicies])
        .default('published'),
    )
    .addOption(
      variable('--artifact-channel <name>', 'channel that it must be promoted to', 'ARTIFACT_CHANNEL').choices([
        ...channels,
      ]),
    )
    .addOption(
      variable('--launch-sign-off <text>', 'who found production ready for launches, and when', 'LAUNCH_SIGN_OFF'),
    )
    .addOption(
      variable(
        '--release-root <file>',
        'PEM of the public root that vouches for releases (default: one of its own)',
        'RELEASE_ROOT',
      ),
    )
    .option(
      '--replace-release-root',
      'take that root also where nodes believe another one; they have to enrol again',
      false,
    )
    .addOption(
      variable(
        '--strangers-per-address <count>',
        'connections of one address on which nobody has proven who they are',
        'STRANGERS_PER_ADDRESS',
      ).default(String(defaultDoorLimits.perAddress)),
    )
    .addOption(
      variable('--strangers <count>', 'such connections in all', 'STRANGERS').default(String(defaultDoorLimits.all)),
    )
    .addOption(
      variable('--output-gib <count>', 'GiB that one output of a job may have', 'OUTPUT_GIB').default(
        String(defaultOutputLimits.each / 2 ** 30),
      ),
    )
    .addOption(
      variable('--project-output-gib <count>', 'GiB of all outputs of a project', 'PROJECT_OUTPUT_GIB').default(
        String(defaultOutputLimits.project / 2 ** 30),
      ),
    )
    .addOption(
      variable(
        '--requests-per-token <count>',
        'requests of one token in a second, and ten times as many at once',
        'REQUESTS_PER_TOKEN',
      ).default(String(defaultRateSizes.token.perSecond)),
    )
    .addOption(
      variable(
        '--requests-per-address <count>',
        'requests without a token from one address in a second, and ten times as many at once',
        'REQUESTS_PER_ADDRESS',
      ).default(String(defaultRateSizes.address.perSecond)),
    )
    .addOption(
      variable(
        '--environment <name>',
        'what this control plane is called, for example production',
        'ENVIRONMENT',
      ).default('development'),
    )
    .addOption(variable('--platform <os/arch>', 'what the fleet runs', 'PLATFORM').default('linux/amd64'))
    .addOption(
      variable('--log-level <level>', 'least severe log line', 'LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option('--json', 'what it prints as JSON lines; its log on stderr always is', false)
    .action(async (options: ServeOptions) => {
      const { serve } = await import('./commands/serve.ts');
      await carry(() => serve(options, process.env));
    });
}
