import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('leases');
const open = (name: string) => openJournal({ stateDir: join(folder, name), reserveBytes: 65_536 });
const lease = (uuid: string, instance: string, service: string | null = null) => ({ uuid, instance, service });

it('keeps the leases of an instance as a whole, also for the next life of the agent', () => {
  const first = open('kept');
  first.keepLeases('one', [lease('GPU-b', 'one', 'llm'), lease('GPU-a', 'one')]);
  first.keepLeases('two', [lease('GPU-c', 'two')]);
  first.close();

  const second = open('kept');
  expect(second.leases()).toEqual([lease('GPU-a', 'one'), lease('GPU-b', 'one', 'llm'), lease('GPU-c', 'two')]);
  second.keepLeases('one', [lease('GPU-d', 'one')]);
  second.keepLeases('two', []);

  expect(second.leases()).toEqual([lease('GPU-d', 'one')]);
  second.close();
});

it('refuses a card that another instance has, and then keeps everything as it was', () => {
  const journal = open('refused');
  journal.keepLeases('one', [lease('GPU-a', 'one')]);
  journal.keepLeases('two', [lease('GPU-b', 'two')]);

  expect(() => journal.keepLeases('two', [lease('GPU-c', 'two'), lease('GPU-a', 'two')])).toThrow(/UNIQUE/);

  expect(journal.leases()).toEqual([lease('GPU-a', 'one'), lease('GPU-b', 'two')]);
  journal.close();
});
