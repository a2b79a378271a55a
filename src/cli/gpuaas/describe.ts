/** `gpuaas apps instances describe`: one page that answers how it is, how to reach it and what to do. */

import type { Recovery } from '../../server/instances/recovery.ts';
import { failureLines, table } from '../output.ts';
import { oneLine } from '../printable.ts';
import { ago } from '../words.ts';
import type { Instance } from './instance.ts';

/** As text, `now` in milliseconds since 1970. */
export function describeInstance(instance: Instance, now: number): string {
  const { resources } = instance;
  const facts = [
    ['instance', instance.id],
    ['name', instance.display_name],
    ['app', `${instance.app_slug}@${instance.app_version}`],
    ['state', `${instance.state} for ${ago(instance.state_since, now)}`],
    ['summary', instance.summary],
    ['asked for', `${instance.created_at} by token ${instance.created_by}, trace ${instance.trace_id}`],
    ['allocation', instance.allocation_id],
    ['node', instance.node_id ?? '-'],
    ['last task', instance.current_task_id ?? '-'],
    ['resources', `${resources.gpu_count} GPUs, ${resources.cpu_cores} cores, ${resources.memory_gib} GiB`],
    ['image', instance.image_digest],
    [
      'config',
      Object.entries(instance.config)
        .map(([name, value]) => `${name}=${value}`)
        .join('  '),
    ],
  ];
  return [
    table(facts.map(([name = '', value = '']) => [name, oneLine(value)])),
    ...section('Services', [table(serviceRows(instance))]),
    ...section('Cards', [table(cardRows(instance))]),
    ...section('Access', accessLines(instance)),
    ...section(
      'Notices',
      instance.notices.map(({ message, reason, hint }) =>
        oneLine([message, ...(reason ? [`Reason: ${reason}`] : []), hint].join(' ')),
      ),
    ),
    ...section('Failure', troubleLines(instance)),
    ...section('Left behind', cleanupLines(instance)),
    ...section('History', [table(instance.history.map(({ at, state, reason }) => [at, state, oneLine(reason)]))]),
  ].join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 || lines[0] === ''
    ? []
    : ['', title, ...lines.flatMap((line) => line.split('\n')).map((line) => `  ${line}`)];
}

/** A single container is its instance, of which all is said already. */
function serviceRows({ members }: Instance): string[][] {
  const services = members.filter(({ name }) => name !== 'main');
  return services.map(({ name, state, health, restarts, status }) =>
    [
      name,
      state,
      ...[health === null ? '' : `health check: ${health}`, restarts === 0 ? '' : `restarted ${restarts} times`],
      status?.exit_code == null ? '' : `exit ${status.exit_code}`,
    ].map(oneLine),
  );
}

function cardRows({ gpus }: Instance): string[][] {
  return gpus.map(({ uuid, service, card }) =>
    [
      uuid,
      ...(card === null ? ['its host does not report it'] : [card.name, `${card.memory_mib} MiB`, healthOf(card)]),
      service ?? '',
    ].map(oneLine),
  );
}

function healthOf({ health, reason }: { health: string; reason: string | null }): string {
  return reason === null ? health : `${health}: ${reason}`;
}

function accessLines({ access }: Instance): string[] {
  return access.flatMap(({ endpoint, url, bearer_path, tunnel }) => [
    oneLine(`${endpoint}: ${tunnel ?? 'nobody said how to log in to its host'}`),
    ...(url === null ? [] : [`${' '.repeat(endpoint.length)}  then ${useOf(url, bearer_path)}`]),
  ]);
}

function useOf(url: string, bearerPath: string | null): string {
  return bearerPath === null
    ? `open ${oneLine(url)}`
    : `ask: curl -H 'Authorization: Bearer TOKEN' ${oneLine(new URL(bearerPath, url).href)}`;
}

function troubleLines({ failure, recovery, id, desired }: Instance): string[] {
  if (failure === null) {
    return [];
  }
  return [
    ...failureLines(failure),
    ...(recovery === null ? [] : [`next: ${ways[recovery](`gpuaas apps instances ${actions[desired]} ${id}`)}`]),
  ];
}

/** What brings about what is wanted. */
const actions: Readonly<Record<Instance['desired'], string>> = {
  running: 'restart',
  stopped: 'stop',
  decommissioned: 'decommission',
};

/** What can be done about a failure, by its class. */
const ways: Readonly<Record<Recovery, (command: string) => string>> = {
  retryable: (command) => `try the same again: ${command}`,
  drift: (command) => `if its log shows no error of its own, put it right: ${command}`,
  repairable: () => 'correct the request, its values or the image, or take away what stands in its way',
  intervention: () => 'somebody has to look at the host or the platform first',
};

function cleanupLines({ cleanup }: Instance): string[] {
  return [
    ...(cleanup?.kept ?? []).map((each) => `kept: ${oneLine(each)}`),
    ...(cleanup?.failed ?? []).map((each) => `failed: ${oneLine(each)}`),
  ];
}
