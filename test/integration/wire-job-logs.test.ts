/** Many short jobs, each followed from its submission: every line of every step comes once and in order, whatever ends the job. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEvents } from '../../src/cli/gpuaas/event-lines.ts';
import type { StreamedEntry } from '../../src/contract/session-messages.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { taggedImage } from '../support/tagged-image.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let image: string;

beforeAll(async () => {
  image = await taggedImage();
  wire = await openWire({ withoutApp: true });
}, 180_000);
afterAll(() => wire?.close());

const lines = 1000;
const says = `seq 1 ${lines}; seq 1 ${lines} >&2; echo last; echo last >&2`;

/** Two steps side by side and one behind them. */
function documentOf(ends: string) {
  const step = (id: string, cmd: string, execution: object) => ({
    ...{ type: 'container/run', id, args: { image, cmd }, execution },
  });
  const ops = [
    step('one', says, { group: 'first' }),
    step('two', `${says}; ${ends}`, { group: 'first' }),
    step('three', says, { group: 'second' }),
  ];
  return { version: '0.1', type: 'container', ops };
}

async function submit(ends = 'true'): Promise<string> {
  const job: JobView = ok(await wire.member.call('POST', '/api/v1/jobs', { document: documentOf(ends) }));
  return job.id;
}

/** The log to its end, over connections that break off after so many parts each; `onEntry` is called with the first entry. */
async function follow(id: string, { most = Number.POSITIVE_INFINITY, onEntry = () => Promise.resolve() } = {}) {
  const said: Record<string, string[]> = {};
  let last = '';
  for (let isFirst = true; ; ) {
    const broken = new AbortController();
    const headers = { authorization: `Bearer ${wire.member.token}`, ...(last === '' ? {} : { 'last-event-id': last }) };
    const { body } = await fetch(`${wire.url}/api/v1/jobs/${id}/logs?follow=true`, { headers, signal: broken.signal });
    if (!body) throw new Error('nothing is said');
    let parts = 0;
    for await (const event of parseEvents(body)) {
      if (event.type === 'end') return { said, failure: JSON.parse(event.data).failure };
      expect(event.type).toBe('entries');
      for (const { service, channel, text } of JSON.parse(event.data) as StreamedEntry[]) {
        const key = `${service} ${channel}`;
        said[key] ??= [];
        said[key].push(text);
      }
      last = event.id;
      if (isFirst) await onEntry();
      isFirst = false;
      parts += 1;
      if (parts >= most) break;
    }
    broken.abort();
  }
}

const whole = [...Array.from({ length: lines }, (_, index) => `${index + 1}`), 'last'];
const ofAll = Object.fromEntries(
  ['one', 'two', 'three'].flatMap((id) => [`${id} stdout`, `${id} stderr`].map((key) => [key, whole])),
);

it('jobs that are followed from their submission say every line once, in order, also over connections that break', async () => {
  const ids = await Promise.all(Array.from({ length: 12 }, () => submit()));

  const seen = await Promise.all(ids.map((id, index) => follow(id, index % 3 === 0 ? { most: 4 } : {})));

  for (const one of seen) expect(one).toEqual({ said: ofAll, failure: null });
}, 400_000);

it('of jobs that are cancelled, followers have what was kept of them', async () => {
  const ids = await Promise.all(Array.from({ length: 6 }, () => submit('sleep 600')));
  const isEnded = async (id: string) => ok(await wire.member.call('GET', `/api/v1/jobs/${id}`)).state === 'cancelled';

  const seen = await Promise.all(
    ids.map((id) =>
      follow(id, { onEntry: async () => void ok(await wire.member.call('POST', `/api/v1/jobs/${id}/cancel`)) }),
    ),
  );
  await until(async () => (await Promise.all(ids.map(isEnded))).every(Boolean), 'all to be cancelled');
  const kept = await Promise.all(ids.map((id) => follow(id)));

  expect(seen.map(({ failure }) => failure)).toEqual(ids.map(() => null));
  expect(seen).toEqual(kept);
}, 400_000);
