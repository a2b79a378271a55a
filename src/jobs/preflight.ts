/**
 * The checks that need no container that runs: what an image has to have is looked for in one of it that never starts, with no
 * shell and nobody else in it. They cost milliseconds, so all of them are done, and what is lacking is told at once.
 */
import { cutText } from '../contract/bounds.ts';
import { AgentError } from '../contract/failures.ts';
import type { JobPlan, Preflight } from '../contract/job-plan.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ImageFacts } from '../policy/container-request.ts';
import { placeOf } from '../policy/mounts.ts';
import { createBare, partId } from './bare-container.ts';
import type { LookedFor } from './job-record.ts';
import type { RunningJob } from './running-job.ts';

/** Where an engine looks for programs of an image that says nothing of it. */
const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Folders of PATH that are looked in, and characters of it that are shown. */
const mostFolders = 64;
const mostPathShown = 512;
/** Things that one failure names. */
const mostNamed = 16;

/** Things of images that are remembered. */
const mostRemembered = 4096;

/** What was found in images: they never change, so in a later job nobody has to look for it again. What was lacking is not kept. */
export class FoundInImages {
  readonly #found = new Set<string>();

  has(image: ImageFacts, item: Preflight): boolean {
    return this.#found.has(keyOf(image, item));
  }

  add(image: ImageFacts, item: Preflight): void {
    this.#found.add(keyOf(image, item));
    if (this.#found.size > mostRemembered) this.#found.delete(this.#found.values().next().value ?? '');
  }
}

function keyOf({ id }: ImageFacts, { type, name, work_dir }: Preflight): string {
  return JSON.stringify([id, type, name, work_dir]);
}

type Look = (path: string) => Promise<{ readonly kind: string; readonly executable: boolean } | undefined>;

/** Throws `preflight.failed`, naming all that is lacking. What was found by an earlier life of the agent is not looked for again. */
export async function lookForFiles(job: RunningJob, signal: AbortSignal): Promise<void> {
  const { preflight = [] } = job.plan;
  if (preflight.length === 0) return;
  if (job.record.preflight === undefined) {
    const found: LookedFor[] = [];
    for (const image of job.plan.images.filter(({ id }) => preflight.some((each) => each.image === id))) {
      found.push(
        ...(await lookInto(
          job,
          image,
          preflight.filter((each) => each.image === image.id),
          signal,
        )),
      );
    }
    job.update({ preflight: found.toSorted((a, b) => a.index - b.index) });
    tell(job);
  }
  const lacking = (job.record.preflight ?? []).filter(({ reason }) => reason !== null);
  const [first] = lacking;
  if (!first) return;
  const names = lacking.map(({ index, reason }) => `${nameOf(preflight[index])} ${reason}`);
  throw new AgentError('preflight.failed', {
    ...{ phase: 'check', check: preflight[first.index]?.name ?? '', kind: preflight[first.index]?.type ?? '' },
    ...{
      lacking: names.slice(0, mostNamed),
      reason: `${names.slice(0, 4).join('; ')}${names.length > 4 ? '; …' : ''}.`,
    },
  });
}

function nameOf(item: Preflight | undefined): string {
  return `${item?.type === 'file' ? 'the file' : 'the program'} ${item?.name ?? ''}`;
}

function tell(job: RunningJob): void {
  const { preflight = [] } = job.record;
  const lacking = preflight.filter(({ reason }) => reason !== null).length;
  const facts = { checks: preflight.length, failed: lacking };
  if (lacking === 0) job.emit('preflight.passed', 'What the images have to have is there.', facts);
  else
    job.emit(
      'preflight.failed',
      `${lacking} of ${preflight.length} things that the images have to have are lacking.`,
      facts,
    );
}

async function lookInto(
  job: RunningJob,
  image: JobPlan['images'][number],
  wanted: readonly Preflight[],
  signal: AbortSignal,
): Promise<LookedFor[]> {
  const { engine } = job.ground;
  const facts = job.images.get(image.id);
  if (!facts) throw new Error(`the image ${image.id} is not there`);
  const { foundInImages: known } = job.ground.jobs;
  const indexOf = (item: Preflight) => (job.plan.preflight ?? []).indexOf(item);
  const isKnown = (item: Preflight) => known.has(facts, item);
  const there = wanted.filter(isKnown).map((item): LookedFor => {
    return { index: indexOf(item), reason: null, at: new Date().toISOString(), duration_ms: 0 };
  });
  if (there.length === wanted.length) return there;
  const name = await createBare(job, image, { id: partId(job, 'look'), mounts: [] });
  const look: Look = async (path) => await engine.statPath(name, path, signal);
  try {
    const found = [...there];
    for (const item of wanted.filter((each) => !isKnown(each))) {
      const began = performance.now();
      const reason = (await (item.type === 'file' ? whyNoFile(item, look) : whyNoProgram(item, facts, look))) ?? null;
      const duration_ms = Math.round(performance.now() - began);
      if (reason === null) known.add(facts, item);
      found.push({ index: indexOf(item), reason, at: new Date().toISOString(), duration_ms });
    }
    return found;
  } finally {
    await engine.remove(name, toItsEnd());
  }
}

/** Undefined where it is there. */
async function whyNoFile({ name, work_dir: workDir }: Preflight, look: Look): Promise<string | undefined> {
  const place = placeOf(workDir, name);
  const found = await look(place);
  if (!found) return `is not there: nothing is at ${place}`;
  return found.kind === 'folder' ? `is a folder: ${place}` : undefined;
}

async function whyNoProgram(item: Preflight, { env }: ImageFacts, look: Look): Promise<string | undefined> {
  const { name, work_dir: workDir } = item;
  if (name.includes('/')) return whyNotExecutable(placeOf(workDir, name), look);
  const path = env.find((each) => each.startsWith('PATH='))?.slice('PATH='.length) ?? usualPath;
  const folders = path.split(':').slice(0, mostFolders);
  let seen: string | undefined;
  for (const folder of folders) {
    const place = placeOf(placeOf(workDir, folder), name);
    const why = await whyNotExecutable(place, look);
    if (why === undefined) return undefined;
    if (!why.startsWith('is not there')) seen ??= why;
  }
  return seen ?? `is not there: it is in no folder of PATH, ${cutText(path, mostPathShown)}`;
}

async function whyNotExecutable(place: string, look: Look): Promise<string | undefined> {
  const found = await look(place);
  if (!found) return `is not there: nothing is at ${place}`;
  if (found.kind !== 'file') return `is no program: ${place} is ${found.kind === 'folder' ? 'a folder' : 'no file'}`;
  return found.executable ? undefined : `may not be executed: ${place}`;
}
