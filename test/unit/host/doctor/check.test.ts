import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { check, fail, ok, runChecks } from '../../../../src/host/doctor/check.ts';
import { patience } from '../stand-ins.ts';

it('gives every result in order with what was found, why it matters and the next step', async () => {
  const checks = [
    check('a.good', 'It matters.', () => Promise.resolve(ok('All is well.'))),
    check('b.bad', 'This, too.', () => Promise.resolve(fail('It is broken.', 'Mend it.'))),
  ];

  expect(await runChecks(checks, { signal: patience })).toEqual([
    { name: 'a.good', status: 'ok', found: 'All is well.', why: 'It matters.', fix: null },
    { name: 'b.bad', status: 'fail', found: 'It is broken.', why: 'This, too.', fix: 'Mend it.' },
  ]);
});

it('lets no check that hangs hide the others', async () => {
  const checks = [
    check('a.hangs', 'Why.', () => new Promise(() => undefined)),
    check('b.good', 'Why.', () => Promise.resolve(ok('All is well.'))),
  ];

  const [hanging, good] = await runChecks(checks, { timeoutMs: 50, signal: patience });

  expect(hanging).toMatchObject({ status: 'fail', found: expect.stringContaining('within 0.05 s') });
  expect(hanging?.fix).not.toBeNull();
  expect(good).toMatchObject({ status: 'ok' });
});

it('tells a check its deadline, so that it can end what it began', async () => {
  let told: unknown;
  const hanging = check('a.hangs', 'Why.', (signal) => {
    signal.addEventListener('abort', () => {
      told = signal.reason;
    });
    return new Promise(() => undefined);
  });

  await runChecks([hanging], { timeoutMs: 50, signal: patience });

  expect(told).toMatchObject({ name: 'TimeoutError' });
});

it('turns whatever a check throws into a failed check with a next step', async () => {
  const checks = [
    check('a.known', 'Why.', () => Promise.reject(new AgentError('engine.unavailable', { reason: 'Nobody listens.' }))),
    check('b.unknown', 'Why.', () => Promise.reject(new RangeError('out of range'))),
  ];

  const results = await runChecks(checks, { signal: patience });

  expect(results).toMatchObject([
    { status: 'fail', found: expect.stringContaining('Nobody listens.'), fix: expect.stringContaining('doctor') },
    { status: 'fail', found: expect.stringContaining('out of range'), fix: expect.stringContaining('report') },
  ]);
});

it('ends with the reason of the signal when it is told to stop', async () => {
  const cancel = new AbortController();
  const running = runChecks([check('a.hangs', 'Why.', () => new Promise(() => undefined))], { signal: cancel.signal });

  cancel.abort(new Error('enough'));

  await expect(running).rejects.toThrow('enough');
});
