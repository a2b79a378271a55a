import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { journalCheck } from '../../../../src/host/doctor/journal-check.ts';
import { patience, testFolder } from '../stand-ins.ts';

it('tells what an open journal says of itself, and of one that was lost', async () => {
  const stateDir = testFolder();
  const look = async (trouble: string | null | undefined) =>
    (await runChecks([journalCheck({ stateDir, trouble: () => trouble })], { signal: patience }))[0];

  expect(await look(undefined)).toMatchObject({ status: 'ok', found: 'There is no journal yet.' });
  expect(await look(null)).toMatchObject({ status: 'ok', found: expect.stringContaining('sound') });
  expect(await look('The disk has no room for another task.')).toMatchObject({ status: 'fail' });

  writeFileSync(join(stateDir, 'agent.db.unreadable-20261126T100000000Z'), '');
  expect(await look(null)).toMatchObject({ status: 'warn', found: expect.stringContaining('20261126T100000000Z') });
  expect(await look('malformed database schema')).toMatchObject({ status: 'fail' });
});
