/**
 * Explains an instance, a job or a task: puts together what journal, task logs, engine and kernel know, in the order it
 * happened, and draws the conclusion.
 *
 *   tasks (asked, phases, end) ┐
 *   supervisor's events        │
 *   record of the job          ├─▶ one timeline ─▶ state and failure now ─▶ what to do next
 *   engine, kernel             ┘
 */
import { AgentError } from '../../contract/failures.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import { containerName, serviceOfContainer } from '../../contract/names.ts';
import type { KernelLine } from '../../host/kernel-log.ts';
import type { KeptEvent } from '../journal/journal.ts';
import { aboutInstance, aboutTask, type Conclusion, type EngineWords } from './conclusion.ts';
import type { Explanation, TimelineEntry } from './explanation.ts';
import { aboutJob } from './job-conclusion.ts';
import { jobEntries } from './job-entries.ts';
import { type JobFacts, jobFactsOf, partName } from './job-facts.ts';
import type { ExplainSources } from './sources.ts';
import { jobLaunchEntries, taskEntries } from './task-entries.ts';
import { storyOf, type TaskStory } from './task-story.ts';
import { engineEntries, eventEntry, factEntries, kernelEntries, type NameOfContainer } from './world-entries.ts';

/** Tasks and events of an instance that are told; older ones are history. */
const maxTasks = 10;
const maxEvents = 50;
/** Events of the whole host that are looked through for outages. */
const maxHostEvents = 500;
const outages = new Set(['engine.away', 'engine.back']);
/** Longest that the engine is asked for: an explanation of why it hangs must not hang with it. */
const engineTimeoutMs = 3000;

export async function explain(id: string, sources: ExplainSources, signal: AbortSignal): Promise<Explanation> {
  const notes: string[] = [];
  if (!sources.journal) {
    notes.push('The journal could not be read: this is told from task logs, engine and kernel.');
  }
  const own = await storyFor(id, sources, signal);
  const stories = own ? [own] : await storiesOf(id, sources, signal, notes);
  const instance = own?.workloadId ?? id;
  const events = own ? [] : eventsOf(id, sources, notes);
  const job = own ? undefined : await jobFactsOf(id, sources, stories);
  const isJob = job !== undefined || stories.some(({ type }) => type.startsWith('workload.job_'));
  const begin = since(stories, events, job);
  const nameOf = isJob ? containerNames(id, job) : undefined;
  const engine = await askEngine(instance, { begin, nameOf }, sources, signal, notes);
  const isKnown = stories.length > 0 || events.length > 0 || engine.containers.length > 0;
  if (!isKnown && !job && !sources.journal?.workload(id)) throw new AgentError('explain.unknown', { id });

  const outages = hostEventsOf(instance, sources, begin);
  const timeline = timelineOf({ own, stories, job, events: [...events, ...outages], engine });
  const conclusion = conclude({ id, own, isJob, job, stories, events, engine }, sources);
  const containers = new Set(stories.flatMap(({ containerIds }) => containerIds));
  for (const container of engine.containers) {
    containers.add(container.id);
  }
  for (const { record } of job?.parts ?? []) {
    if (record.container_id !== null) containers.add(record.container_id);
  }
  const explanation: Explanation = {
    subject: { kind: own ? 'task' : isJob ? 'job' : 'instance', id, name: nameOfSubject(stories, job) },
    at: new Date().toISOString(),
    ...conclusion,
    kernel: {
      ...{ read: false, containers: [...containers], since: begin },
      // A task is over with its end; what became of the workload after it is another story.
      until: own?.endedAt ?? null,
    },
    ...{ timeline, notes: [...notes, kernelUnread] },
  };
  return withKernelLog(explanation, sources.kernelLog());
}

/** How the containers of a job are called in a sentence; what they are is not known where its record is gone. */
function containerNames(id: string, job: JobFacts | undefined): NameOfContainer {
  const names = new Map(job?.parts.map((part) => [containerName(id, part.plan.id), partName(part)]));
  return (container) =>
    `The container of ${names.has(container) ? 'the ' : ''}${names.get(container) ?? serviceOfContainer(container)}`;
}

const kernelUnread = 'The kernel log may not be read without root; as root, `dmesg` shows what the kernel killed.';

/** With what the kernel log says of it, where it was not read yet and can be; `lines` are undefined where it cannot. */
export function withKernelLog(explanation: Explanation, lines: readonly KernelLine[] | undefined): Explanation {
  const { kernel, subject, timeline, notes } = explanation;
  // An agent of an older version says nothing of it.
  if (kernel?.read !== false || lines === undefined) {
    return explanation;
  }
  const entries = kernelEntries(lines, new Set(kernel.containers), kernel.since);
  const own = subject.kind === 'task' ? entries.filter(({ time }) => isWithin(time, kernel)) : entries;
  return {
    ...explanation,
    kernel: { ...kernel, read: true },
    timeline: inOrder([...timeline, ...own]),
    notes: notes.filter((note) => note !== kernelUnread),
  };
}

async function storyFor(id: string, sources: ExplainSources, signal: AbortSignal): Promise<TaskStory | undefined> {
  // An instance may be called as a task is: whoever asks for one with containers means the instance.
  return sources.journal?.workload(id) || sources.journal?.jobs.outline(id)
    ? undefined
    : storyOf(id, sources.journal?.task(id), await sources.taskLog(id, signal));
}

/** Oldest first. */
async function storiesOf(
  instance: string,
  sources: ExplainSources,
  signal: AbortSignal,
  notes: string[],
): Promise<TaskStory[]> {
  const kept = sources.journal?.tasks({ workload_id: instance, limit: maxTasks + 1 }) ?? [];
  const logged = await sources.tasksWithLog(instance, signal);
  const ids = [...new Set([...kept.toReversed().map(({ envelope }) => envelope.task_id), ...logged])];
  const stories: TaskStory[] = [];
  for (const taskId of ids) {
    const story = storyOf(taskId, sources.journal?.task(taskId), await sources.taskLog(taskId, signal));
    if (story) {
      stories.push(story);
    }
  }
  stories.sort((a, b) => Date.parse(a.askedAt) - Date.parse(b.askedAt));
  if (stories.length > maxTasks) {
    notes.push(`Only the last ${maxTasks} tasks are told; \`node-agent tasks\` lists more.`);
  }
  return stories.slice(-maxTasks);
}

/** Oldest first. */
function eventsOf(instance: string, { journal }: ExplainSources, notes: string[]): KeptEvent[] {
  const events = journal?.events({ workload_id: instance, limit: maxEvents + 1 }) ?? [];
  if (events.length > maxEvents) {
    notes.push(`Only the last ${maxEvents} events are told.`);
  }
  return events.slice(0, maxEvents).toReversed();
}

/** What concerns it of the host: when the engine was away, and what became of cards that it holds. Oldest first. */
function hostEventsOf(instance: string, { journal }: ExplainSources, from: string): KeptEvent[] {
  return (journal?.events({ limit: maxHostEvents }) ?? [])
    .filter(({ body: { workload_id, event } }) => {
      const isOfCard = event.type.startsWith('gpu.') && event.values['held_by'] === instance;
      return workload_id === null && event.time >= from && (outages.has(event.type) || isOfCard);
    })
    .toReversed();
}

function since(stories: readonly TaskStory[], events: readonly KeptEvent[], job: JobFacts | undefined): string {
  const times = [...stories.map(({ askedAt }) => askedAt), ...events.map(({ body }) => body.event.time)];
  if (job) times.push(job.kept.record.accepted_at);
  return times.sort()[0] ?? new Date(0).toISOString();
}

async function askEngine(
  instance: string,
  { begin, nameOf }: { readonly begin: string; readonly nameOf: NameOfContainer | undefined },
  sources: ExplainSources,
  signal: AbortSignal,
  notes: string[],
): Promise<EngineWords> {
  const timeout = AbortSignal.timeout(engineTimeoutMs);
  const limited = AbortSignal.any([signal, timeout]);
  try {
    const containers = await sources.containers(instance, limited);
    const entries = engineEntries(await sources.engineEvents(instance, begin, limited), nameOf);
    const facts = containers.flatMap((container) => factEntries(container, entries, nameOf));
    return { containers, entries: [...entries, ...facts], failure: null };
  } catch (error) {
    signal.throwIfAborted();
    const failure = timeout.aborted ? new AgentError('engine.timed_out', { timeout_ms: engineTimeoutMs }) : error;
    if (!(failure instanceof AgentError)) {
      throw failure;
    }
    notes.push(`The engine could not be asked: ${failure.message}`);
    return { containers: [], entries: [], failure: failure.toFailure() };
  }
}

interface Material {
  /** The task that is explained, if it is one. */
  readonly own: TaskStory | undefined;
  readonly stories: readonly TaskStory[];
  /** What this host has of the job, if it is one. */
  readonly job: JobFacts | undefined;
  readonly events: readonly KeptEvent[];
  readonly engine: EngineWords;
}

function conclude(
  { id, isJob, ...material }: Material & { readonly id: string; readonly isJob: boolean },
  { journal }: Pick<ExplainSources, 'journal'>,
): Conclusion {
  const { own, stories, events, engine, job } = material;
  if (own) return aboutTask(own);
  if (isJob) return aboutJob({ id, job, stories, hasJournal: journal !== undefined });
  return aboutInstance({ id, stories, events, engine, kept: journal?.workload(id) });
}

function nameOfSubject(stories: readonly TaskStory[], job: JobFacts | undefined): string | null {
  return stories.findLast(({ name }) => name !== null)?.name ?? job?.kept.plan.identity.display_name ?? null;
}

function timelineOf({ own, stories, job, events, engine }: Material): TimelineEntry[] {
  const tasks = stories.flatMap((story) =>
    job && story === job.launch
      ? jobLaunchEntries(story, { hasEnded: jobHasEnded(job.kept.record.state) })
      : taskEntries(story),
  );
  const all = [...tasks, ...(job ? jobEntries(job) : []), ...events.map(eventEntry), ...engine.entries];
  const period = own && { since: own.askedAt, until: own.endedAt };
  return inOrder(all.filter(({ time, task_id }) => task_id !== null || !period || isWithin(time, period)));
}

function inOrder(entries: readonly TimelineEntry[]): TimelineEntry[] {
  return entries
    .map((entry, index) => ({ entry, index }))
    .sort((a, b) => Date.parse(a.entry.time) - Date.parse(b.entry.time) || a.index - b.index)
    .map(({ entry }) => entry);
}

function isWithin(time: string, { since, until }: { since: string; until: string | null }): boolean {
  return Date.parse(time) >= Date.parse(since) && (until === null || Date.parse(time) <= Date.parse(until));
}
