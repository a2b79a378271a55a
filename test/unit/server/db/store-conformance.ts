/** What every implementation of the store must do. A new implementation runs it with a way to open an empty store. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import { type Commit, Duplicate, type Store } from '../../../../src/server/db/store.ts';
import { anAllocation, anEvent, aProject } from '../../../support/store-samples.ts';

export function describeStore(name: string, openEmpty: () => Promise<Store>): void {
  describe(`${name}: the store`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await openEmpty();
    });
    afterEach(() => store.close());

    const ids = ['a', 'b', 'c', 'd', 'e'];
    const fill = () =>
      store.write(async (tx) => {
        for (const id of ids) {
          await tx.projects.insert(aProject({ id, name: `name-${id}` }));
        }
      });

    describe('collections', () => {
      it('give back what was put in, and nothing for what was not', async () => {
        await store.write((tx) => tx.projects.insert(aProject()));

        expect(await store.read((tx) => tx.projects.get('p1'))).toEqual(aProject());
        expect(await store.read((tx) => tx.projects.get('p2'))).toBeUndefined();
      });

      it('replace an entity, and refuse to replace one that is not there', async () => {
        await store.write((tx) => tx.projects.insert(aProject()));

        await store.write((tx) => tx.projects.put(aProject({ display_name: 'Other' })));

        expect((await store.read((tx) => tx.projects.get('p1')))?.display_name).toBe('Other');
        await expect(store.write((tx) => tx.projects.put(aProject({ id: 'p2', name: 'b' })))).rejects.toThrow('p2');
      });

      it('say whether there was something to delete', async () => {
        await fill();

        expect(await store.write((tx) => tx.projects.delete('a'))).toBe(true);
        expect(await store.write((tx) => tx.projects.delete('a'))).toBe(false);
        expect(await store.read((tx) => tx.projects.count())).toBe(4);
      });

      it('list by id, oldest or newest first, in pages', async () => {
        await fill();

        const pages = await store.read(async (tx) => [
          await tx.projects.list({ limit: 2 }),
          await tx.projects.list({ limit: 2, after: 'b' }),
          await tx.projects.list({ limit: 2, order: 'newest' }),
          await tx.projects.list({ limit: 9, order: 'newest', after: 'b' }),
        ]);

        expect(pages.map((page) => page.map(({ id }) => id).join(''))).toEqual(['ab', 'cd', 'ed', 'a']);
      });

      it('find by a value, by one of several, and by null', async () => {
        const node = 'n1';
        const allocations = [
          anAllocation({ id: '0190a000-0000-7000-8000-00000000000a' }),
          anAllocation({ id: '0190a000-0000-7000-8000-00000000000b', state: 'releasing', node_id: node }),
          anAllocation({ id: '0190a000-0000-7000-8000-00000000000c', state: 'ended', node_id: node }),
        ];
        await store.write(async (tx) => {
          for (const allocation of allocations) {
            await tx.allocations.insert(allocation);
          }
        });

        const found = await store.read(async ({ allocations: all }) => [
          await all.list({ where: { state: 'active' } }),
          await all.list({ where: { project_id: 'p1', state: ['active', 'ended'] } }),
          await all.list({ where: { node_id: null } }),
          await all.list({ where: { node_id: [null, node], state: 'ended' } }),
          await all.list({ where: { state: [] } }),
        ]);

        expect(found.map((list) => list.map(({ id }) => id.at(-1)).join(''))).toEqual(['a', 'ac', 'a', 'c', '']);
        expect(await store.read((tx) => tx.allocations.find({ node_id: node }))).toEqual(allocations[1]);
        expect(await store.read((tx) => tx.allocations.count({ node_id: node }))).toBe(2);
      });

      it('list only what is below a value', async () => {
        const answer = (id: string, expires_at: string) => ({
          ...{ id: id.repeat(43), body_hash: 'h'.repeat(43), status: 201, body: { id }, sealed: null, expires_at },
          created_at: '2026-11-25T10:00:00.000Z',
        });
        await store.write(async (tx) => {
          await tx.idempotent_answers.insert(answer('a', '2026-11-25T11:00:00.000Z'));
          await tx.idempotent_answers.insert(answer('b', '2026-11-25T12:00:00.000Z'));
        });

        const below = { expires_at: '2026-11-25T12:00:00.000Z' };
        const found = await store.read((tx) => tx.idempotent_answers.list({ below }));

        expect(found.map(({ body }) => body)).toEqual([{ id: 'a' }]);
      });

      it('take values for what they are, never as a part of a question', async () => {
        await fill();
        const evil = "x' OR '1'='1";

        expect(await store.read((tx) => tx.projects.list({ where: { name: evil } }))).toEqual([]);
        expect(await store.read((tx) => tx.projects.get(evil))).toBeUndefined();
      });

      it('refuse what their schema does not accept', async () => {
        await expect(store.write((tx) => tx.projects.insert(aProject({ name: 'Not A Name' })))).rejects.toThrow(
          '/name',
        );
      });

      it.each([
        ['id', aProject({ name: 'other' }), ['id']],
        ['unique value', aProject({ id: 'p2' }), ['name']],
      ])('refuse a second entity with the same %s, and the transaction can go on', async (_what, second, fields) => {
        await store.write((tx) => tx.projects.insert(aProject()));

        const caught = await store.write(async (tx) => {
          const error = await tx.projects.insert(second).catch((thrown: unknown) => thrown);
          await tx.projects.insert(aProject({ id: 'p3', name: 'third' }));
          return error;
        });

        expect(caught).toBeInstanceOf(Duplicate);
        expect(caught).toMatchObject({ collection: 'projects', fields });
        expect(await store.read((tx) => tx.projects.count())).toBe(2);
      });
    });

    describe('transactions', () => {
      it('undo everything that failed work had done, events included', async () => {
        const work = store.write(async (tx) => {
          await tx.projects.insert(aProject());
          await tx.events.append(anEvent());
          throw new Error('no');
        });

        await expect(work).rejects.toThrow('no');
        expect(await store.read((tx) => tx.projects.count())).toBe(0);
        expect(await store.read((tx) => tx.events.range())).toEqual({ first: 0, last: 0 });
      });

      it('take nothing of those that wait beside a failed one', async () => {
        const works = ids.map((id) =>
          store.write(async (tx) => {
            await tx.projects.insert(aProject({ id, name: `name-${id}` }));
            if (id === 'c') {
              throw new Error('only this one');
            }
            return id;
          }),
        );

        const settled = await Promise.allSettled(works);

        expect(settled.map(({ status }) => status)).toEqual([
          ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        ]);
        expect((await store.read((tx) => tx.projects.list())).map(({ id }) => id)).toEqual(['a', 'b', 'd', 'e']);
      });

      it('are serial: each sees all that was written before it (X-5)', async () => {
        await store.write((tx) => tx.workload_fencing.insert({ id: 'w1', fencing: 0 }));
        const next = () =>
          store.write(async (tx) => {
            const before = (await tx.workload_fencing.get('w1'))?.fencing ?? Number.NaN;
            await tx.workload_fencing.put({ id: 'w1', fencing: before + 1 });
            return before + 1;
          });

        const numbers = await Promise.all(Array.from({ length: 200 }, next));

        expect(new Set(numbers).size).toBe(200);
        expect((await store.read((tx) => tx.workload_fencing.get('w1')))?.fencing).toBe(200);
      });

      it('show readers nothing of what is not committed, and one moment throughout', async () => {
        await fill();
        const counts: number[] = [];

        await store.read(async (tx) => {
          counts.push(await tx.projects.count());
          await Promise.resolve();
          counts.push(await tx.projects.count());
        });
        let during: Promise<number> | undefined;
        await store.write(async (tx) => {
          await tx.projects.delete('a');
          counts.push(await tx.projects.count());
        });
        await store.read(async (tx) => {
          counts.push(await tx.projects.count());
          during = tx.projects.count();
        });

        expect(counts).toEqual([5, 5, 4, 4]);
        expect(await during).toBe(4);
      });

      it('let a reader keep its moment while others write', async () => {
        await fill();
        const { promise: written, resolve: go } = Promise.withResolvers<void>();

        const reading = store.read(async (tx) => {
          const before = await tx.projects.count();
          await written;
          return [before, await tx.projects.count()];
        });
        await store.write((tx) => tx.projects.delete('a'));
        go();

        expect(await reading).toEqual([5, 5]);
        expect(await store.read((tx) => tx.projects.count())).toBe(4);
      });

      it('end with their work: what is used later fails', async () => {
        const kept = await store.write(async (tx) => tx);
        const read = await store.read(async (tx) => tx);

        await expect(kept.projects.insert(aProject())).rejects.toThrow('over');
        await expect(read.projects.list()).rejects.toThrow('over');
      });

      it('refuse a transaction inside of another instead of waiting for themselves', async () => {
        await expect(store.write(() => store.write(async () => 1))).rejects.toThrow('inside');
        await expect(store.read(() => store.read(async () => 1))).rejects.toThrow('inside');
        await expect(store.write(() => store.read(async () => 1))).rejects.toThrow('inside');
      });
    });

    describe('events', () => {
      it('are numbered in the order of commits', async () => {
        const appended = await Promise.all(
          ids.map((id) => store.write((tx) => tx.events.append(anEvent({ message: `Event ${id}.` })))),
        );

        const listed = await store.read((tx) => tx.events.list({ after: 0, limit: 10 }));

        expect(listed).toEqual(appended);
        expect(listed.map(({ seq }) => seq)).toEqual([...listed.map(({ seq }) => seq)].sort((a, b) => a - b));
      });

      it('go on behind a cursor, by project, by subject, or with the latest', async () => {
        await store.write(async (tx) => {
          for (const [index, id] of ids.entries()) {
            const project_id = index % 2 === 0 ? 'p1' : 'p2';
            await tx.events.append(anEvent({ project_id, subject: { kind: 'app_instance', id } }));
          }
        });
        const all = await store.read((tx) => tx.events.list({ after: 0, limit: 10 }));
        const third = all[2]?.seq ?? 0;

        const subjects = await store.read(async (tx) =>
          [
            await tx.events.list({ after: third, limit: 10 }),
            await tx.events.list({ after: 0, limit: 2 }),
            await tx.events.list({ after: 0, limit: 10, project_id: 'p2' }),
            await tx.events.list({ after: 0, limit: 10, subject_id: 'c' }),
            await tx.events.list({ after: 0, limit: 2, latest: true }),
          ].map((list) => list.map(({ subject }) => subject.id).join('')),
        );

        expect(subjects).toEqual(['de', 'ab', 'bd', 'c', 'de']);
      });

      it('of every project are those of each, in their order', async () => {
        await store.write(async (tx) => {
          for (const [index, project_id] of ['p1', 'every', 'p2', 'p1', 'every', null].entries()) {
            await tx.events.append(anEvent({ project_id, subject: { kind: 'app', id: 'abcdef'[index] ?? '' } }));
          }
        });

        const subjects = await store.read(async (tx) =>
          [
            await tx.events.list({ after: 0, limit: 10, project_id: 'p1' }),
            await tx.events.list({ after: 0, limit: 10, project_id: 'p2' }),
            await tx.events.list({ after: 0, limit: 2, project_id: 'p1' }),
            await tx.events.list({ after: 2, limit: 10, project_id: 'p1' }),
            await tx.events.list({ after: 0, limit: 2, project_id: 'p2', latest: true }),
            await tx.events.list({ after: 0, limit: 10, project_id: 'p2', subject_id: 'e' }),
          ].map((list) => list.map(({ subject }) => subject.id).join('')),
        );

        expect(subjects).toEqual(['abde', 'bce', 'ab', 'de', 'ce', 'e']);
      });

      it('are forgotten by age, so many at a time from the oldest on, and keep their numbers', async () => {
        await store.write(async (tx) => {
          for (const day of ['01', '02', '03']) {
            await tx.events.append(anEvent({ time: `2026-11-${day}T00:00:00.000Z` }));
          }
        });
        const { last } = await store.read((tx) => tx.events.range());

        const forget = (time: string) => store.write((tx) => tx.events.forgetBefore(time, 2));
        const forgotten = [
          await forget('2026-11-02T00:00:00.000Z'),
          await forget('2026-12-01T00:00:00.000Z'),
          await forget('2026-12-01T00:00:00.000Z'),
        ];
        const next = await store.write((tx) => tx.events.append(anEvent()));

        expect(forgotten).toEqual([1, 2, 0]);
        expect(next.seq).toBeGreaterThan(last);
      });

      it('refuse one that their schema does not accept', async () => {
        await expect(store.write((tx) => tx.events.append(anEvent({ type: 'NOT A TYPE' })))).rejects.toThrow('/type');
      });
    });

    describe('those who wait for a commit', () => {
      it('are told what changed, and what the last event is', async () => {
        const commits: Commit[] = [];
        const stop = store.onCommit((commit) => commits.push(commit));

        const event = await store.write(async (tx) => {
          await tx.projects.insert(aProject());
          return tx.events.append(anEvent());
        });
        await store.read((tx) => tx.projects.list());
        stop();
        await store.write((tx) => tx.projects.delete('p1'));

        const { id } = aProject();
        expect(commits).toEqual([{ changed: new Set(['projects']), about: new Set([id]), lastEvent: event.seq }]);
      });

      it('are told of which job it is, also where that goes', async () => {
        const output: StoredOutput = {
          ...{ id: 'output-1', job_id: 'job-1', project_id: 'p1', node_id: 'node-1', name: 'one.log', kind: 'log' },
          ...{
            sha256: '0'.repeat(64),
            bytes: 1,
            media_type: 'application/x-ndjson',
            file_name: 'one.log',
            state: 'pending',
          },
          ...{ reason: null, offered_at: '2026-11-26T10:00:00.000Z', stored_at: null },
        };
        const commits: Commit[] = [];
        const stop = store.onCommit((commit) => commits.push(commit));

        await store.write((tx) => tx.job_outputs.insert(output));
        await store.write((tx) => tx.job_outputs.put({ ...output, bytes: 2 }));
        const gone = await store.write((tx) => tx.job_outputs.delete(output.id));
        const goneAgain = await store.write((tx) => tx.job_outputs.delete(output.id));
        await store.read((tx) => tx.job_outputs.list());
        stop();

        expect([gone, goneAgain]).toEqual([true, false]);
        expect(commits.slice(0, 3).map(({ about }) => about)).toEqual(Array(3).fill(new Set(['output-1', 'job-1'])));
      });

      it('are not told of what was put quietly', async () => {
        await store.write((tx) => tx.projects.insert(aProject()));
        const commits: Commit[] = [];
        const stop = store.onCommit((commit) => commits.push(commit));

        await store.write((tx) => tx.projects.put(aProject({ name: 'changed' }), { quietly: true }));
        await store.read((tx) => tx.projects.list());
        stop();

        expect(commits.flatMap(({ changed }) => [...changed])).toEqual([]);
        expect((await store.read((tx) => tx.projects.get(aProject().id)))?.name).toBe('changed');
      });

      it('are woken after the commit and never for work that was undone', async () => {
        const woken: string[] = [];
        const failing = store.write(async (tx) => {
          tx.afterCommit(() => woken.push('undone'));
          throw new Error('no');
        });
        await expect(failing).rejects.toThrow('no');

        const seen = await store.write(async (tx) => {
          tx.afterCommit(() => woken.push('kept'));
          return [...woken];
        });
        await store.read(async () => undefined);

        expect(seen).toEqual([]);
        expect(woken).toEqual(['kept']);
      });
    });

    it('finishes what was begun before it closes, and takes nothing afterwards', async () => {
      const begun = store.write((tx) => tx.projects.insert(aProject()));

      await store.close();

      await expect(begun).resolves.toBeUndefined();
      await expect(store.read((tx) => tx.projects.list())).rejects.toThrow('closed');
      store = await openEmpty();
    });
  });
}
