/** `gpuaas jobs describe`: one page that answers how it is, what came out, and what to do. */
import type { JobReceipt } from '../../contract/job-receipt.ts';
import type { JobView } from '../../server/jobs/job-view.ts';
import { failureLines, table } from '../output.ts';
import { oneLine, printable } from '../printable.ts';
import { ago, counted, lengthOf } from '../words.ts';
import { imageLines } from './receipt-images.ts';

/** What its author says of it. */
function aboutOf({ name, version, description, authors = [], homepage }: NonNullable<JobView['about']>): string {
  const more = [description, authors.length > 0 ? `by ${authors.join(', ')}` : undefined, homepage];
  return [[name, version].filter(Boolean).join(' '), ...more].filter(Boolean).join('; ');
}

/** As text, `now` in milliseconds since 1970; `said` is what its receipt says. */
export function describeJob(job: JobView, said: JobReceipt | null, now: number): string {
  const { needs, images, warnings, run_warnings = [], endpoints, outputs, failure, attempts } = job;
  const facts = [
    ['job', job.id],
    ['name', job.name],
    ['project', job.project_id],
    ['document', `${job.dialect}, sha256 ${job.document_sha256}`],
    ...(job.about ? [['about', aboutOf(job.about)]] : []),
    ['state', `${job.state} for ${ago(job.state_since, now)}`],
    ['reason', job.reason],
    ['submitted', `${job.created_at} by token ${job.created_by}`],
    ['started', job.started_at ?? '-'],
    ['ended', job.ended_at ?? '-'],
    ['node', job.node_id === null ? '-' : `${job.node_name ?? '-'} (${job.node_id})`],
    ['needs', needsOf(needs)],
    [
      'attempt',
      job.shown_attempt === job.attempt ? String(job.attempt) : `${job.attempt}, shown is ${job.shown_attempt ?? '-'}`,
    ],
    ['receipt', job.receipt === null ? 'none' : 'signed by its node'],
  ];
  return [
    table(facts.map(([name = '', value = '']) => [name, oneLine(value)])),
    ...section(
      'Checks',
      job.checks.length === 0 ? [] : [table([['CHECK', 'KIND', 'STATE', 'TOOK', 'WHY'], ...job.checks.map(checkRow)])],
    ),
    ...job.checks.flatMap(({ id, label, state, output }) =>
      state === 'failed' && output ? section(`Output of the check ${oneLine(label ?? id)}`, [printable(output)]) : [],
    ),
    ...section('Steps', [
      table([['STEP', 'GROUP', 'STATE', 'EXIT', 'TOOK', 'IMAGE'], ...job.steps.map((step) => stepRow(step, now))]),
    ]),
    ...job.steps.flatMap(({ id, commands = [] }) => commandSections(id, commands)),
    ...section(
      'Images',
      images.map(({ name, reference }) => oneLine(name === reference ? name : `${name} = ${reference}`)),
    ),
    ...section('What ran, as its receipt says (not verified)', imageLines(said?.images ?? []).map(oneLine)),
    ...section(
      'Inputs',
      Object.entries(job.input_commits ?? {}).map(([id, commit]) => oneLine(`${id}  commit ${commit}`)),
    ),
    ...section(
      'Endpoints',
      endpoints.map(({ step, name, url, host, port }) => oneLine(`${step}  ${name}  ${url ?? `${host}:${port}`}`)),
    ),
    ...section(
      'Outputs',
      outputs.map(({ name, kind, state, bytes, sha256, reason }) =>
        oneLine(`${name}  ${kind}  ${state}  ${bytes} bytes  sha256 ${sha256}  ${reason ?? ''}`.trimEnd()),
      ),
    ),
    ...section(
      'Attempts',
      attempts.length < 2
        ? []
        : attempts.map((each) =>
            oneLine(`${each.number}  ${each.state}  on ${each.node_id}  ${each.failure?.message ?? ''}`),
          ),
    ),
    ...section('Warnings', [
      ...run_warnings.map(({ message }) => oneLine(message)),
      ...warnings.map(({ path, message }) => oneLine(`${path} ${message}`)),
    ]),
    ...(failure ? section('Why', failureLines(failure)) : []),
  ].join('\n');
}

function checkRow({ id, label, kind, state, duration_ms, reason }: JobView['checks'][number]): string[] {
  const name = label === null || label === id ? id : `${label} (${id})`;
  return [name, kind, state, duration_ms === null ? '-' : lengthOf(duration_ms), reason ?? ''].map(oneLine);
}

type Commands = NonNullable<JobView['steps'][number]['commands']>;

/** Every command of a script, and the end of what each has written. */
function commandSections(step: string, commands: Commands): string[] {
  if (commands.length === 0) return [];
  const rows = commands.map(({ index, command, state, exit_code, duration_ms, message }) =>
    [
      ...[String(index), state, exit_code === null ? '-' : String(exit_code)],
      ...[duration_ms === null ? '-' : lengthOf(duration_ms), message === null ? command : `${command}: ${message}`],
    ].map(oneLine),
  );
  return [
    ...section(`Commands of ${oneLine(step)}`, [table([['COMMAND', 'STATE', 'EXIT', 'TOOK', 'WHAT'], ...rows])]),
    ...commands.flatMap(({ index, stdout, stderr }) =>
      Object.entries({ stdout, stderr }).flatMap(([channel, said]) =>
        said && said.text !== ''
          ? section(`${channel} of command ${index}${said.truncated ? ', its end' : ''}`, [
              printable(said.text.trimEnd()),
            ])
          : [],
      ),
    ),
  ];
}

function stepRow(
  { id, name, group, state, exit_code, signal, oom_killed, started_at, ended_at, image }: JobView['steps'][number],
  now: number,
) {
  const took =
    started_at === null
      ? '-'
      : lengthOf(Math.max(0, (ended_at === null ? now : Date.parse(ended_at)) - Date.parse(started_at)));
  const exit = oom_killed ? 'out of memory' : (signal ?? (exit_code === null ? '-' : String(exit_code)));
  const tag = image.tag === null ? '' : `:${image.tag}`;
  return [id === name ? id : `${id} (${name})`, group, state, exit, took, `${image.name}${tag}`].map(oneLine);
}

function needsOf({ gpu_count, gpu_memory_mib, cpu_cores, memory_gib, disk_gib }: JobView['needs']): string {
  const gpus = counted(gpu_count, 'GPU');
  const cards = gpu_memory_mib > 0 ? `${gpus} of ${gpu_memory_mib} MiB` : gpus;
  const cores =
    cpu_cores === null && memory_gib === null
      ? 'a share of the cores and memory of its host'
      : [
          cpu_cores === null ? 'a share of the cores of its host' : counted(cpu_cores, 'core'),
          memory_gib === null ? 'a share of its memory' : `${memory_gib} GiB of memory`,
        ].join(', ');
  return `${cards}, ${cores}, ${disk_gib} GiB of disk`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 || lines.every((line) => line === '')
    ? []
    : ['', title, ...lines.map((line) => `  ${line.replaceAll('\n', '\n  ')}`)];
}
