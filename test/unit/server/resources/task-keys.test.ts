import { afterEach, expect, it, vi } from 'vitest';
import { testServer } from '../../../support/test-server.ts';

const { call, context } = await testServer();
afterEach(() => vi.restoreAllMocks());

const path = '/api/v1/keys/rotate';

it('an operator replaces the task key, once under one Idempotency-Key, and it is on record', async () => {
  const before = context.keys.task.current.kid;
  const headers = { 'idempotency-key': 'rotate-1' };

  const { status, body } = await call('POST', path, { as: 'operator', body: { retire_in_seconds: 60 }, headers });
  const again = await call('POST', path, { as: 'operator', body: { retire_in_seconds: 60 }, headers });

  expect(status).toBe(200);
  expect(body).toEqual({
    ...{ kid: context.keys.task.current.kid, previous_kid: before, retire_after: '2026-11-25T10:01:00.000Z' },
  });
  expect(body.kid).not.toBe(before);
  expect(again.body).toEqual(body);
  const events = await context.store.read((tx) => tx.events.list({ after: 0, limit: 10, subject_id: body.kid }));
  expect(events).toMatchObject([{ type: 'keys.rotated', data: body }]);
});

it('nodes come back for the key that signs now, also where the record of it could not be kept', async () => {
  const renew = vi.spyOn(context.hub, 'renew');
  const before = context.keys.task.current.kid;
  vi.spyOn(context.store, 'write').mockRejectedValueOnce(new Error('disk full'));

  const failed = await call('POST', path, { as: 'operator', body: {} });

  expect(failed.status).toBe(500);
  expect(context.keys.task.current.kid).not.toBe(before);
  expect(renew).toHaveBeenCalledOnce();
});

it('nobody else does', async () => {
  expect((await call('POST', path, { as: 'member', body: {} })).status).toBe(403);
});
