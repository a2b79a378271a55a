/** `gpuaas jobs revisions`: the files of authors that jobs are made of. */
import type { Command } from 'commander';
import { AgentError, type Json } from '../../contract/failures.ts';
import type { RevisionView } from '../../server/revisions/revision-routes.ts';
import { printJson, printLine } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { Carry } from './carry.ts';
import type { ControlPlaneClient } from './client.ts';
import { json, projectOption } from './options.ts';
import { type Column, field, printItem, printList } from './things.ts';
import { refuseUnknownCommands } from './unknown-command.ts';

interface Options {
  readonly project?: string;
  readonly json: boolean;
}

const columns: Column[] = [
  ['SHA256', field('sha256')],
  ['BYTES', field('bytes')],
  ['FILES', field('files')],
  ['PUSHED', field('pushed_at')],
  ['TAKES JOBS', ({ accepting_jobs }) => (accepting_jobs ? 'yes' : 'no')],
  ['PREPARED ON', ({ prepared_on }) => hostsOf(prepared_on as RevisionView['prepared_on'])],
];

export function addRevisionCommands(jobs: Command, carry: Carry): void {
  const revisions = refuseUnknownCommands(
    jobs.command('revisions').description('files that were pushed, as jobs are made of them'),
  );
  revisions
    .command('list', { isDefault: true })
    .description('list the revisions of a project, newest first')
    .addOption(projectOption())
    .option(...json)
    .action(({ project, json: isJson }: Options) =>
      carry(async (client) => {
        const path = revisionsPath(await projectOf(client, project));
        await printList(client, path, { json: isJson, columns, none: 'No revisions.' });
      }),
    );
  revisions
    .command('describe <sha256>')
    .description('what it is built on, whether it takes jobs, and which hosts have built it')
    .addOption(projectOption())
    .option('--manifest', 'its computalot.project.json instead, in JSON', false)
    .option(...json)
    .action((sha256: string, { project, manifest, json: isJson }: Options & { readonly manifest: boolean }) =>
      carry(async (client) => {
        const path = revisionPath(await projectOf(client, project), sha256);
        if (manifest) return printJson((await client.get<{ manifest: Json }>(`${path}/manifest`)).manifest);
        printItem({ ...(await client.get<RevisionView>(path)) }, { json: isJson });
      }),
    );
  revisions
    .command('remove <sha256>')
    .description('remove a revision that no job needs any more, with its files')
    .addOption(projectOption())
    .option(...json)
    .action((sha256: string, { project, json: isJson }: Options) =>
      carry(async (client) => {
        await client.change('DELETE', revisionPath(await projectOf(client, project), sha256));
        if (isJson) printJson({ sha256, removed: true });
        else printLine(`${oneLine(sha256)} is gone.`);
      }),
    );
}

function hostsOf(prepared: RevisionView['prepared_on']): string {
  return prepared.length === 0 ? 'no host yet' : prepared.map(({ node_name }) => node_name).join(', ');
}

export function revisionsPath(project: string): string {
  return `/api/v1/projects/${encodeURIComponent(project)}/revisions`;
}

function revisionPath(project: string, sha256: string): string {
  return `${revisionsPath(project)}/${encodeURIComponent(sha256)}`;
}

/** The one that was named, or else the only one that this token sees. */
export async function projectOf(client: ControlPlaneClient, named: string | undefined): Promise<string> {
  if (named !== undefined) return named;
  const [first, second] = await Array.fromAsync(client.list<{ readonly id: string }>('/api/v1/projects'));
  if (first !== undefined && second === undefined) return first.id;
  const message = 'is missing: this token belongs to no project. Name it with --project or GPUAAS_PROJECT';
  throw new AgentError('request.invalid', { errors: [{ path: '/project_id', code: 'required', message }] });
}
