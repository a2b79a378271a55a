/** How a job is now, what is the matter with it, and what to do next. */
import { jobHasEnded } from '../../contract/job-state.ts';
import { aboutTask, type Conclusion, endings } from './conclusion.ts';
import { jobAdvice } from './job-advice.ts';
import { culpritOf, endSentence, type JobFacts, type JobPart, partName, waitingOutputs } from './job-facts.ts';
import type { TaskStory } from './task-story.ts';

/** Parts that are named in one sentence. */
const maxNamed = 4;

export interface JobQuestion {
  readonly id: string;
  /** Undefined where this host has no record of it. */
  readonly job: JobFacts | undefined;
  readonly stories: readonly TaskStory[];
  /** Without a journal nobody knows which jobs this host has. */
  readonly hasJournal: boolean;
}

export function aboutJob({ id, job, stories, hasJournal }: JobQuestion): Conclusion {
  const launch = stories.findLast(({ type }) => type === 'workload.job_launch');
  if (!job) return hasJournal && wasBegun(launch) ? aboutGone(id, stories, launch) : aboutUnbegun(launch, stories);
  const { state } = job.kept.record;
  if (!jobHasEnded(state)) return { state, failure: null, summary: standing(job), next: howToFollow(job) };
  const refused =
    launch?.failure && launch.taskId !== job.kept.task_id
      ? ` A later launch ${endings[launch.status ?? 'failed']}: ${launch.failure.message}`
      : '';
  return { state, ...ended(job, refused) };
}

function ended(job: JobFacts, refused: string): Omit<Conclusion, 'state'> {
  const { kept, launch } = job;
  const { failure } = kept.record;
  const stuck = launch?.cleanup && launch.cleanup.failed.length > 0;
  const left = stuck ? ' Not all that it had made could be taken away.' : '';
  const waiting = waitingOutputs(job);
  const late = waiting.length > 0 ? ` The control plane does not have yet: ${named(waiting)}.` : '';
  const summary = `${verdict(job)}${left}${late}${refused}`;
  if (failure) return { summary, failure, next: jobAdvice(failure, job) };
  const next = stuck
    ? 'Look at what the clean-up says above. The agent tries containers and networks again; take away what is still there.'
    : waiting.length > 0
      ? 'Wait: the agent goes on handing it over. `node-agent status` tells whether the control plane is there.'
      : `Nothing: it is done. \`gpuaas jobs artifacts ${kept.job_id}\` has what was kept of it.`;
  return { summary, failure, next };
}

/** How a job has ended, in one sentence. */
export function verdict(job: JobFacts): string {
  const { plan, record } = job.kept;
  const { state, failure } = record;
  const steps = job.parts.filter(({ plan: { kind } }) => kind === 'step');
  const done = steps.filter((step) => step.record.state === 'succeeded').length;
  const atWork = job.parts.filter(({ record: each }) => each.state === 'cancelled' && each.attempts > 0);
  const meanwhile =
    atWork.length > 0
      ? ` while the ${named(atWork.map(partName))} ran`
      : job.parts.every(({ record: each }) => each.attempts === 0)
        ? ' before anything of it ran'
        : '';
  switch (state) {
    case 'cancelled':
      return `The job was cancelled${cancelledBy(job)}${meanwhile}.`;
    case 'expired':
      return `The job ran past its deadline, ${plan.deadline_seconds} s after it was accepted,${meanwhile || ' and was ended'}.`;
    case 'failed': {
      const culprit = culpritOf(job);
      return culprit
        ? `The job has failed, as ${endSentence(culprit).replace(/^T/, 't')}`
        : `The job has failed. ${failure?.message ?? ''}`;
    }
    default:
      return `The job has succeeded: ${done} of ${steps.length} steps.`;
  }
}

/** A host knows no people: a task of the control plane has a trace, a bare one of `run-task` has none. */
function cancelledBy({ launch, kept, stories }: JobFacts): string {
  const { ended_at } = kept.record;
  const control = stories.findLast(({ type, askedAt }) => {
    return type === 'workload.job_control' && (ended_at === null || Date.parse(askedAt) <= Date.parse(ended_at));
  });
  if (control)
    return control.traceId === '' ? ' by a command on this host' : ` by the control plane (task ${control.taskId})`;
  return launch?.cancelled ? ' because its launch was asked to give up' : '';
}

/** What a job that is not over does, or waits for. */
function standing(job: JobFacts): string {
  const { kept, parts } = job;
  const { plan, record } = kept;
  const stop = record.cancelled ? ` It is to end: it was cancelled${cancelledBy(job)}.` : '';
  if (record.state === 'queued') return `The job waits to be prepared.${stop}`;
  if (record.state === 'preparing') {
    const images = plan.images.filter(({ id }) => record.images[id] === undefined).map(({ id }) => `image ${id}`);
    const inputs = plan.inputs.filter(({ id }) => !record.inputs[id]).map(({ id }) => `input ${id}`);
    const lacking = [...images, ...inputs];
    return `The job waits for ${lacking.length === 0 ? 'its first container' : `the ${named(lacking)}`}.${stop}`;
  }
  const words = parts.filter((part) => part.record.state === 'running').map(runs);
  const waits = parts.filter((part) => part.record.state === 'waiting').map((part) => waitsFor(part, job));
  const pending = parts.filter((part) => part.record.state === 'pending').length;
  const later = pending > 0 ? [`${pending} ${pending === 1 ? 'part comes' : 'parts come'} later`] : [];
  const all = [...words, ...waits];
  const told = [
    ...all.slice(0, maxNamed),
    ...(all.length > maxNamed ? [`${all.length - maxNamed} more are at work or wait`] : []),
  ];
  const sentence = [...told, ...later].join('; ') || 'the job is being brought to its end';
  return `${sentence.replace(/^./, (first) => first.toUpperCase())}.${stop}`;
}

function runs(part: JobPart): string {
  const { plan, record } = part;
  const name = `the ${partName(part)}`;
  if (record.starting || record.run_started_at === null) return `${name} is being started`;
  const ending = record.ending === null ? '' : ', and is being stopped';
  const isAsked = plan.expose.length > 0 || plan.healthcheck !== undefined;
  const unready = isAsked && !record.ready && record.ending === null ? ', and is not ready yet' : '';
  return `${name} runs since ${clock(record.run_started_at)}${ending}${unready}`;
}

function waitsFor(part: JobPart, { kept: { plan, record }, parts }: JobFacts): string {
  const name = `the ${partName(part)}`;
  if (part.record.attempts > 0) return `${name} has ended and is started again`;
  const isThere = (id: string) => {
    const other = parts.find(({ plan: each }) => each.id === id)?.record;
    return other?.ready === true || other?.state === 'succeeded';
  };
  const { depends_on = [] } = plan.steps.find(({ id }) => id === part.plan.id) ?? {};
  const before = depends_on.filter((id) => !isThere(id)).map((id) => `step ${id}`);
  const data = part.plan.needs.filter((id) => !record.inputs[id]).map((id) => `input ${id}`);
  const lacking = before.length > 0 ? before : data;
  return `${name} waits for ${lacking.length === 0 ? 'its start' : `the ${named(lacking)}`}`;
}

function howToFollow({ kept, parts }: JobFacts): string {
  const part = parts.find(({ plan, record }) => plan.kind === 'step' && record.state === 'running' && !record.starting);
  const command = part
    ? `node-agent logs ${kept.job_id} --service ${part.plan.id} -f`
    : `node-agent logs --task -f ${kept.task_id}`;
  return `Wait, or follow it with \`${command}\`.`;
}

/** False where its launch was refused, or waits for its turn: such a job has no record. */
function wasBegun(launch: TaskStory | undefined): boolean {
  return (
    launch === undefined || (launch.status !== null && (launch.status === 'succeeded' || launch.phases.length > 0))
  );
}

function aboutUnbegun(launch: TaskStory | undefined, stories: readonly TaskStory[]): Conclusion {
  const story = launch ?? stories.at(-1);
  return story
    ? aboutTask(story)
    : { state: 'unknown', failure: null, summary: 'Nothing is known of the job.', next: 'Look at `node-agent tasks`.' };
}

function aboutGone(id: string, stories: readonly TaskStory[], launch: TaskStory | undefined): Conclusion {
  const removal = stories.findLast(({ type, status }) => type === 'workload.job_remove' && status === 'succeeded');
  const when = removal?.endedAt ? `: it was removed at ${clock(removal.endedAt)}` : '';
  const message = launch?.failure ? `: ${launch.failure.message}` : '.';
  const before = launch?.status ? ` Its launch ${endings[launch.status]}${message}` : '';
  return {
    ...{ state: 'removed', failure: null, summary: `This host does not have the job any more${when}.${before}` },
    next:
      launch?.traceId === ''
        ? 'Nothing: it was taken away. Launch it again when it is wanted.'
        : `Nothing here: \`gpuaas jobs describe ${id}\` tells what the control plane has of it.`,
  };
}

function named(names: readonly string[]): string {
  const rest = names.length - maxNamed;
  const told = names.slice(0, maxNamed);
  return rest > 0 ? `${told.join(', ')} and ${rest} more` : told.join(', ').replace(/, ([^,]*)$/, ' and $1');
}

/** In UTC, as the timeline is. */
function clock(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
