/** The command line: its commands, and what becomes of one that cannot be used. Each command is a file in `commands/`. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { completions } from './commands/completions.ts';
import { addCompletion } from './completion.ts';
import { type Carry, runProgram } from './run-program.ts';

const json = ['--json', 'machine-readable output, errors included', false] as const;
const config = ['--config <file>', 'configuration file (default: /etc/gpuaas-node-agent/agent.json)'] as const;

/** Carries out one command line (without the program's name) and returns its exit status. */
export function main(args: readonly string[]): Promise<number> {
  return runProgram(programOf, args);
}

function programOf(carry: Carry): Command {
  const program = new Command('node-agent')
    .description('Turns a bare GPU host into a place where workloads run safely.')
    .showHelpAfterError('Run `node-agent --help` for the list of commands.')
    .exitOverride();
  program.addHelpText(
    'after',
    '\nExit status: 0 done, 1 failed, 2 unusable input or configuration, 3 task rejected, 75 another node-agent is at work, 78 `run` is misconfigured.',
  );
  addTaskCommands(program, carry);
  addDaemonCommands(program, carry);
  addHostCommands(program, carry);
  addTrustCommands(program, carry);
  addBootstrapCommands(program, carry);
  addCompletion(program, carry, completions);
  return program;
}

function addTaskCommands(program: Command, carry: Carry): void {
  program
    .command('run-task <file>')
    .description('carry out one task ({type, params} or a whole envelope; - reads stdin) and print its result')
    .option(...config)
    .option('--json', 'progress and log on stderr as JSON lines; the result is JSON always', false)
    .option(
      '--pull-credential <file>',
      'JSON file with {"username","password"} or {"bearer"} for the image of the task',
    )
    .option('--wait <seconds>', 'how long to wait for another node-agent process to end', seconds, 600)
    .action(async (file, options) => {
      const { runTask } = await import('./commands/run-task.ts');
      await carry(() => runTask(file, options));
    });

  program
    .command('schema [type]')
    .description(
      'print the JSON Schema of a task type, of `envelope`, `result`, `config` or `trust`; without a type, list them',
    )
    .option('--output', 'the schema of the output of a task type instead of its params', false)
    .option(...json)
    .action(async (type, options) => {
      const { printSchema } = await import('./commands/schema.ts');
      await carry(async () => printSchema(type, options));
    });
}

function addDaemonCommands(program: Command, carry: Carry): void {
  program
    .command('run')
    .description('run the agent: carry out tasks of the control plane and look after workloads, until SIGTERM')
    .option(...config)
    .option('--json', 'an error that ends it as JSON on stdout, too', false)
    .action(async (options) => {
      const { runAgent } = await import('./commands/run.ts');
      await carry(() => runAgent(options));
    });

  program
    .command('enroll')
    .description('make this host a node of a control plane, by a join token')
    .option(
      '--url <origin>',
      'control plane, for example https://cp.example.com (default: `control_plane.url`, or the one of before)',
    )
    .option('--ca <file>', 'PEM of the CA to trust for it (default: `control_plane.ca_file`, or the CAs of the system)')
    .option('--token-file <file>', 'file with the join token, removed afterwards; - reads stdin')
    .option('--new-keys', 'this host is a copy of another one: it gets keys of its own', false)
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { enroll } = await import('./commands/enroll.ts');
      await carry(() => enroll(options));
    });

  program
    .command('status')
    .description('what the daemon is doing: connection, engine, journal, tasks, workloads')
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { printStatus } = await import('./commands/status.ts');
      await carry(() => printStatus(options));
    });

  program
    .command('tasks')
    .description('the tasks that this host knows, newest first')
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { listTasks } = await import('./commands/tasks.ts');
      await carry(() => listTasks(options));
    });

  program
    .command('logs <id>')
    .description('the output of an instance, or what the agent did for a task; works without a daemon, too')
    .option('--task', 'the id is that of a task', false)
    .option('--service <name>', 'only this service of a stack')
    .option('-f, --follow', 'wait for what comes', false)
    .option('--tail <entries>', 'begin with the last so many, of each service', wholeNumber)
    .option('--cursor <cursor>', 'go on behind an entry, as --json printed it')
    .option(...config)
    .option(...json)
    .action(async (id, options) => {
      const { printLogs } = await import('./commands/logs.ts');
      await carry(() => printLogs(id, options));
    });

  program
    .command('explain <id>')
    .description('why an instance, a job or a task is as it is, and what to do next; works without a daemon, too')
    .option(...config)
    .option(...json)
    .action(async (id, options) => {
      const { printExplanation } = await import('./commands/explain.ts');
      await carry(() => printExplanation(id, options));
    });

  program
    .command('drain')
    .description('take no new work from now on; what runs goes on')
    .option('--off', 'take work again', false)
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { drain } = await import('./commands/drain.ts');
      await carry(() => drain(options));
    });

  program
    .command('rotate-keys')
    .description('replace the keys of this node now; by itself it does so every 30 days')
    .option(...config)
    .action(async (options) => {
      const { rotateKeysNow } = await import('./commands/rotate-keys.ts');
      await carry(() => rotateKeysNow(options));
    });
}

function addHostCommands(program: Command, carry: Carry): void {
  program
    .command('doctor')
    .description('check whether this host can do its work, and say what to do where it cannot; changes nothing')
    .option('--sample-gpu', 'have a container look at a free card as well; it is removed again', false)
    .option('--bundle <file>', 'write a bundle for support instead: .tar.gz or .json, without secrets')
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { runDoctor } = await import('./commands/doctor.ts');
      await carry(() => runDoctor(options));
    });

  program
    .command('gpus')
    .description('the cards of this host, how they are and who has them; `clear UUID`: somebody has seen to that card')
    .addArgument(
      new Argument('[action]', 'clear: not quarantined any more, or given up where it is gone').choices(['clear']),
    )
    .argument('[uuid]', 'the card to clear')
    .option(...config)
    .option(...json)
    .action(async (action, uuid, options) => {
      const { clearGpu, listGpus } = await import('./commands/gpus.ts');
      await carry(() => (action === 'clear' ? clearGpu(uuid, options) : listGpus(options)));
    });

  program
    .command('caches')
    .description(
      'caches and built images that this host keeps for later jobs of projects; `remove ID`, `remove --all`: takes away what nobody uses',
    )
    .addArgument(new Argument('[action]', 'remove: take it away').choices(['remove']))
    .argument('[id]', 'what to remove')
    .option(...config)
    .option('--all', 'remove all that nobody uses', false)
    .option(...json)
    .action(async (action, id, options) => {
      const { listCaches, removeCaches } = await import('./commands/caches.ts');
      await carry(() => (action === 'remove' ? removeCaches(id, options) : listCaches(options)));
    });

  program
    .command('config')
    .description('print the effective configuration and where each value came from; changes nothing')
    .option(...config)
    .option('--create-key', 'create the wrapping key of this node if it has none yet', false)
    .option(...json)
    .action(async (options) => {
      const { printConfig } = await import('./commands/config.ts');
      await carry(() => printConfig(options));
    });

  program
    .command('gate')
    .description('run the engine gate, the only process that holds the engine socket; its log on stderr is JSON lines')
    .option(...config)
    .option('--json', 'an error that ends it as JSON on stdout, too', false)
    .action(async (options) => {
      const { runGate } = await import('./commands/gate.ts');
      await carry(() => runGate(options));
    });

  program
    .command('egress', { hidden: true })
    .description('the proxy of a job, in the container that the gate has made for it')
    .action(async () => {
      const { runProxy } = await import('./commands/egress.ts');
      await carry(runProxy);
    });

  program
    .command('self-test')
    .description(
      'try whether this program works on this host, without engine, network or any change; exit status 0 or 1',
    )
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { selfTest } = await import('./commands/self-test.ts');
      await carry(() => selfTest(options));
    });

  program
    .command('update')
    .description('which version runs, what there is, and how to get another one')
    .option('--check', 'ask the control plane what there is for this host; changes nothing', false)
    .option('--now', 'take the present release of the channel, in the window or not', false)
    .option('--to <version>', 'with --now: this release')
    .option('--from <folder>', 'take the release in a folder of this host (root)')
    .option('--rollback', 'go back to the version before, and skip the present one from now on (root)', false)
    .option('--skip <version>', 'never take this version by itself (root)')
    .option('--unskip <version>', 'take it again (root)')
    .addOption(new Option('--apply <version>', 'for the guard of the host').hideHelp())
    .addOption(new Option('--task <id>').hideHelp())
    .addOption(new Option('--nonce <word>').hideHelp())
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { update } = await import('./commands/update.ts');
      await carry(() => update(options));
    });

  program
    .command('version')
    .description('print the version and the contracts it speaks')
    .option(...json)
    .action(async (options) => {
      const { printVersion } = await import('./commands/version.ts');
      await carry(async () => printVersion(options));
    });
}

/** Whose manifests of Golem are carried out. */
function addTrustCommands(program: Command, carry: Carry): void {
  const trust = program.command('trust').description('whose computation payload manifests this host carries out');
  const mode = (name: string, about: string, unset = true) =>
    new Option(`--${name} <mode>`, about).choices([...trustModes, ...(unset ? ['unset'] : [])]);
  const trustModes = ['all', 'none', 'whitelist'];
  const audited = 'how far manifests are believed that it signed, or somebody below it';
  const partner = 'how far projects are believed that it made partners';

  trust
    .command('list')
    .description('what is settled, and the certificates of authors that are known')
    .option(...config)
    .option(...json)
    .action(async (options) => {
      const { listTrust } = await import('./commands/trust.ts');
      await carry(() => listTrust(options));
    });

  trust
    .command('add <file>')
    .description('import the certificate of an author, or of who vouches for authors: PEM or DER')
    .addOption(mode('audited', `${audited} (default: all)`, false))
    .addOption(mode('partner', partner, false))
    .option(...config)
    .option(...json)
    .action(async (file, options) => {
      const { addCertificate } = await import('./commands/trust.ts');
      await carry(() => addCertificate(file, options));
    });

  trust
    .command('remove <id>')
    .description('forget a certificate and its rules, by the beginning of its ID')
    .option(...config)
    .option(...json)
    .action(async (id, options) => {
      const { removeTrust } = await import('./commands/trust.ts');
      await carry(() => removeTrust(id, options));
    });

  trust
    .command('rules [id]')
    .description('change what is settled: for all manifests, or for a certificate by the beginning of its ID')
    .addOption(new Option('--outbound <state>', 'off: no manifest may have the network').choices(['on', 'off']))
    .addOption(mode('everyone', 'which manifests may have the network without a signature', false))
    .addOption(mode('audited', audited))
    .addOption(mode('partner', partner))
    .addOption(new Option('--undated <what>', 'manifests without an end').choices(['refuse', 'accept']))
    .addOption(new Option('--compat <how>', 'how commands may be compared').choices(['strict', 'yagna']))
    .option(...config)
    .option(...json)
    .action(async (id, options) => {
      const { setRules } = await import('./commands/trust.ts');
      await carry(() => setRules(id, options));
    });

  trust
    .command('whitelist')
    .description('hosts that rules of the mode `whitelist` let through; lists them where nothing is to be changed')
    .addArgument(new Argument('[action]', 'what to do').choices(['add', 'remove', 'list']))
    .argument('[hosts...]', 'names of hosts, or regular expressions with --regex')
    .option('--regex', 'they are regular expressions, found anywhere in a name', false)
    .option(...config)
    .option(...json)
    .action(async (action, hosts, options) => {
      const { changeWhitelist } = await import('./commands/trust.ts');
      await carry(() => changeWhitelist(action, hosts, options));
    });

  trust
    .command('test <manifest>')
    .description(
      'whether this host would carry a manifest out, step by step; exit status 0 accepted, 1 refused, 2 unusable',
    )
    .option('--signature <file>', 'signature over the base64 text of the manifest: base64, or its bytes')
    .option('--certificate <file>', 'certificate of the signer: DER, or PEM in which the signer comes last')
    .option('--algorithm <digest>', 'digest of the signature, as OpenSSL calls it; by default sha256')
    .option('--partner <file>', 'what makes its project a partner: JSON {document, signature, algorithm, certificate}')
    .option('--project <id>', 'the project that it would be carried out for')
    .option('--at <time>', 'as if it were this time (RFC 3339)')
    .option(...config)
    .option(...json)
    .action(async (file, options) => {
      const { testTrust } = await import('./commands/test-trust.ts');
      await carry(() => testTrust(file, options));
    });
}

/** What `bootstrap.sh` asks of the program that it has just verified. */
function addBootstrapCommands(program: Command, carry: Carry): void {
  const host = program.command('host').description('the parts of bootstrap.sh that are no work for a shell');
  const load = async () => await import('./commands/host.ts');

  host
    .command('engine-config <file>')
    .description("print the engine's daemon.json with what is missing in it; on stderr what is set otherwise")
    .option('--nvidia <path>', "NVIDIA's container runtime, to be added")
    .option('--gvisor <path>', 'runsc, to be added')
    .option('--gvisor-directfs', 'runsc knows --directfs, and is to be told not to', false)
    .option('--gvisor-cards', 'have runsc hand on NVIDIA cards (--nvproxy)')
    .option('--no-gvisor-cards', 'have runsc hand on none')
    .option('--no-live-restore', 'leave out what an engine in a swarm cannot have')
    .action(async (file, options) => {
      const { printEngineConfig } = await load();
      await carry(async () => printEngineConfig(file, options));
    });

  host
    .command('first-config <invitation>')
    .description('print the agent.json that a host begins with')
    .requiredOption('--user <name>', 'user of the allocation')
    .requiredOption('--socket-gid <gid>', 'group that may connect to the gate', wholeNumber)
    .option('--registry <host/prefix>', 'where images may come from; repeatable', repeated, [])
    .option('--gvisor', 'offer the sandbox gvisor', false)
    .option('--gvisor-cards', 'offer it with NVIDIA cards', false)
    .option('--payloads', 'let jobs name images by their hash, which are downloaded', false)
    .option('--network-pool <range>', 'private range that workload networks are cut from')
    .action(async (invitation, options) => {
      const { printFirstConfig } = await load();
      await carry(async () => printFirstConfig(invitation, options));
    });

  host
    .command('gvisor-cards <config>')
    .description('print an agent.json in which containers under gVisor may have NVIDIA cards')
    .option('--off', 'in which they may not', false)
    .action(async (file, options) => {
      const { printGvisorCards } = await load();
      await carry(async () => printGvisorCards(file, options));
    });

  host
    .command('check-gvisor-cards <engine-config>')
    .description('print the gVisor of this daemon.json, or say why that could hand on no card of this host')
    .action(async (file) => {
      const { checkGvisorCards } = await load();
      await carry(() => checkGvisorCards(file));
    });

  host
    .command('firewall')
    .description('print the firewall of the configured network pool, for nft -f')
    .option(...config)
    .action(async (options) => {
      const { printFirewall } = await load();
      await carry(() => printFirewall(options));
    });

  host
    .command('await-ready')
    .description('wait until the daemon is connected and its engine answers')
    .option('--wait <seconds>', 'how long', seconds, 60)
    .option(...config)
    .action(async (options) => {
      const { awaitReady } = await load();
      await carry(() => awaitReady(options));
    });

  host
    .command('remove-workloads')
    .description('take no new work and take all workloads of ours away; what they have written is kept')
    .option(...config)
    .action(async (options) => {
      const { removeWorkloads } = await load();
      await carry(() => removeWorkloads(options));
    });

  host
    .command('leave')
    .description('have the control plane revoke this node, and forget who it was; the daemon must have stopped')
    .option(...config)
    .action(async (options) => {
      const { leaveControlPlane } = await load();
      await carry(() => leaveControlPlane(options));
    });
}

function repeated(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It must be a number of seconds.');
  }
  return value;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new InvalidArgumentError('It must be a whole number.');
  }
  return Number(text);
}
