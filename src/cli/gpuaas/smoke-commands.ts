/** `gpuaas smoke`: a launch from the outside, in four verbs that can be run one by one or again (G-235). */
import type { Command } from 'commander';
import type { Carry } from './carry.ts';
import { json } from './options.ts';
import { access } from './smoke/access.ts';
import { decommission } from './smoke/decommission.ts';
import { deploy } from './smoke/deploy.ts';
import { readInputs } from './smoke/inputs.ts';
import { observe } from './smoke/observe.ts';
import { runVerb, type SmokeRun, type SmokeVerb, type SmokeWork, smokeStatus } from './smoke/run.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

const verbs: { readonly [V in SmokeVerb]: { readonly work: SmokeWork; readonly description: string } } = {
  observe: {
    work: observe,
    description: 'ask the host and the nine checks whether a launch would work; nothing is launched',
  },
  deploy: { work: deploy, description: 'launch, or find what was launched, and wait until it runs' },
  access: { work: access, description: 'ask each endpoint through its port, on the host or through the tunnel' },
  decommission: { work: decommission, description: 'take it away and look whether anything is left' },
};
const order = Object.keys(verbs) as SmokeVerb[];

export function addSmokeCommands(program: Command, carry: Carry): void {
  const statuses = order.map((verb) => `${smokeStatus[verb]} ${verb}`).join(', ');
  const smoke = refuseUnknownCommands(
    program.command('smoke').description(`launch something and take it away again; exit status by verb: ${statuses}`),
  );
  const add = (name: string, description: string, run: (run: SmokeRun) => Promise<number>) =>
    smoke
      .command(name)
      .description(description)
      .requiredOption('--inputs <file>', 'JSON file with app, placement and artifact; fixtures/smoke/dev.json is one')
      .option(
        '--state <file>',
        'file that the verbs hand on; it holds the tokens of the endpoints',
        '.gpuaas-smoke.json',
      )
      .option(...json)
      .action(({ inputs, state, json: asJson }) =>
        carry(async (client) => run({ client, inputs: await readInputs(inputs), state, json: asJson })),
      );
  for (const verb of order) {
    add(verb, verbs[verb].description, (run) => runVerb(verb, run, verbs[verb].work));
  }
  add('all', 'all four in this order; what was deployed is taken away, whatever else failed', runAll);
}

/** The status is that of the first verb that failed. */
async function runAll(run: SmokeRun): Promise<number> {
  const observed = await runVerb('observe', run, observe);
  if (observed !== 0) return observed;
  const deployed = await runVerb('deploy', run, deploy);
  const reached = deployed === 0 ? await runVerb('access', run, access) : 0;
  const removed = await runVerb('decommission', run, decommission);
  return [deployed, reached, removed].find((status) => status !== 0) ?? 0;
}
