/** What the interface shows of a job. Its document has a route of its own, and secrets have none. */
import { type Static, Type } from 'typebox';
import { RecommendedAction, recommendedAction } from '../../contract/failures.ts';
import { CheckReport, JobWarning, StepReport } from '../../contract/job-report.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import { readImageName } from '../../manifests/image-name.ts';
import { Job, JobNews, type JobStepFacts } from '../db/entities/job.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import { OutputView, outputsOf } from '../job-outputs/keep-outputs.ts';

const closed = { additionalProperties: false } as const;
const nullableText = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

export const jobActions = ['cancel', 'remove'] as const;
export type JobAction = (typeof jobActions)[number];

const StepImage = Type.Object(
  {
    name: Type.String({
      description: 'Registry and repository, as the document has them, with all that was left out.',
    }),
    tag: nullableText('Tag that the document has; null where it has a digest.'),
    digest: nullableText('Digest that runs: what the tag was when the job was submitted.'),
  },
  { ...closed, description: 'An image.' },
);

const StepView = Type.Object(
  {
    ...StepReport.properties,
    name: Type.String({ description: 'What its author calls it.' }),
    group: Type.String({ description: 'Groups run one after another, the steps of one side by side.' }),
    depends_on: Type.Array(Type.String({ description: 'Id of a step.' }), {
      description: 'Steps that have to be ready before it starts.',
    }),
    image: StepImage,
  },
  { ...closed, description: 'One step, and how it stands.' },
);

const { steps: _steps, steps_ended: _ended, removal_task_id: _removal, trace_id: _trace, ...shown } = Job.properties;
const { endpoints, receipt } = JobNews.properties;
const outputs = Type.Array(OutputView, { description: 'What was kept of it, by name, and whether it is here.' });

const common = {
  allocation_id: nullableText('Allocation that it runs on, or ran on last; null before the first.'),
  node_id: nullableText('Node of that allocation.'),
  node_name: nullableText('Name of that node.'),
  attempt: Type.Integer({ minimum: 0, description: 'How often it was begun.' }),
  actions: Type.Array(Type.Enum([...jobActions], { description: 'Action.' }), {
    description: 'What can be done with it now.',
  }),
};

export const JobView = Type.Object(
  {
    ...shown,
    ...common,
    recommended_action: Type.Union([RecommendedAction, Type.Null()], {
      description: 'What to do about its failure; null where there is none.',
    }),
    shown_attempt: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()], {
      description:
        'Attempt that steps, endpoints, outputs and receipt are of: the last one that a step of has begun. Null before that.',
    }),
    checks: Type.Array(CheckReport, {
      description: 'Every check before it, in the order in which they are done; none before its node has told of them.',
    }),
    run_warnings: Type.Array(JobWarning, {
      description:
        'What its node could not fetch or keep, and what did not make it fail; those of its document are apart.',
    }),
    steps: Type.Array(StepView, { description: 'Every step, in the order of the plan.' }),
    ...{ endpoints, outputs, receipt },
  },
  { ...closed, description: 'A job.' },
);
export type JobView = Static<typeof JobView>;

export const JobListed = Type.Object(
  {
    ...{ id: shown.id, project_id: shown.project_id, name: shown.name, dialect: shown.dialect },
    ...{ state: shown.state, state_since: shown.state_since, reason: shown.reason, failure: shown.failure },
    ...{ created_at: shown.created_at, created_by: shown.created_by, queued_at: shown.queued_at },
    ...{ started_at: shown.started_at, ended_at: shown.ended_at, needs: shown.needs },
    ...common,
    steps_total: Type.Integer({ minimum: 0, description: 'How many steps it has.' }),
    steps_ended: Type.Integer({ minimum: 0, description: 'How many of them are over.' }),
  },
  { ...closed, description: 'A job in a list: without its steps.' },
);
export type JobListed = Static<typeof JobListed>;

export async function viewOf(tx: ReadTx, job: Job): Promise<JobView> {
  const { steps, steps_ended: _stepsEnded, removal_task_id: _task, trace_id: _traceId, ...rest } = job;
  const news = await tx.job_news.get(job.id);
  return {
    ...rest,
    ...(await commonOf(tx, job)),
    recommended_action: job.failure && recommendedAction(job.failure),
    shown_attempt: news?.attempt ?? null,
    checks: news?.report.checks ?? [],
    run_warnings: news?.report.warnings ?? [],
    steps: steps.map((step) => stepOf(step, job, news)),
    ...{ endpoints: news?.endpoints ?? [], outputs: await outputsOf(tx, job.id), receipt: news?.receipt ?? null },
  };
}

export async function listedOf(tx: ReadTx, job: Job): Promise<JobListed> {
  const { id, project_id, name, dialect, state, state_since, reason, failure, needs } = job;
  const { created_at, created_by, queued_at, started_at, ended_at, steps, steps_ended } = job;
  return {
    ...{ id, project_id, name, dialect, state, state_since, reason, failure, needs },
    ...{ created_at, created_by, queued_at, started_at, ended_at, steps_total: steps.length, steps_ended },
    ...(await commonOf(tx, job)),
  };
}

async function commonOf(tx: ReadTx, job: Job) {
  const last = job.attempts.at(-1);
  const node: Node | undefined = last && (await tx.nodes.get(last.node_id));
  return {
    ...{ allocation_id: last?.allocation_id ?? null, node_id: last?.node_id ?? null, node_name: node?.name ?? null },
    ...{ attempt: last?.number ?? 0, actions: actionsOn(job) },
  };
}

/** What would change something. */
export function actionsOn({ state, cancelled_at, removal_task_id }: Job): JobAction[] {
  if (jobHasEnded(state)) return removal_task_id === null ? ['remove'] : [];
  return cancelled_at === null ? ['cancel'] : [];
}

function stepOf(step: JobStepFacts, { images, state }: Job, news: JobNews | undefined): JobView['steps'][number] {
  const { id, name, group, depends_on, image } = step;
  const said = news?.report.steps.find((each) => each.id === id);
  const [bare, digest] = (images.find((each) => each.name === image)?.reference ?? image).split('@');
  return {
    ...(said ?? { ...untoldStep(state), id }),
    ...{ name, group, depends_on },
    image: { name: bare ?? '', tag: readImageName(image)?.tag ?? null, digest: digest ?? null },
  };
}

/** A step that nobody has said anything about, of a job in that state. */
export function untoldStep(state: Job['state']) {
  return {
    ...{ started_at: null, ended_at: null, attempts: 0, container_id: null, exit_code: null, signal: null },
    ...{ oom_killed: false, results: {}, failure: null },
    state: jobHasEnded(state) ? ('cancelled' as const) : ('pending' as const),
  };
}
