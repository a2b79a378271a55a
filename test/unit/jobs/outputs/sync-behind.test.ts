import { expect, it } from 'vitest';
import { SyncBehind } from '../../../../src/jobs/outputs/sync-behind.ts';

const mebibyte = 2 ** 20;

function file() {
  const asked: PromiseWithResolvers<void>[] = [];
  const datasync = async () => {
    const one = Promise.withResolvers<void>();
    asked.push(one);
    await one.promise;
  };
  return { asked, behind: new SyncBehind({ datasync }) };
}

it('brings to the disk what has come since, each 64 MiB, one after the other', async () => {
  const { asked, behind } = file();
  behind.written(63 * mebibyte);
  expect(asked).toHaveLength(0);
  behind.written(mebibyte);
  behind.written(100 * mebibyte);
  expect(asked).toHaveLength(1);

  asked[0]?.resolve();
  await behind.end();
  behind.written(mebibyte);

  expect(asked).toHaveLength(2);
});

it('tells at the end what could not be brought there, also where later bytes could', async () => {
  const { asked, behind } = file();
  behind.written(64 * mebibyte);
  asked[0]?.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  await behind.settled();
  behind.written(64 * mebibyte);
  asked[1]?.resolve();

  await expect(behind.end()).rejects.toMatchObject({ code: 'EIO' });
});
