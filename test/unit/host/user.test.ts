import { expect, it } from 'vitest';
import { findUser } from '../../../src/host/user.ts';

it('finds an account of this host', async () => {
  expect(await findUser('root')).toMatchObject({ uid: 0, gid: 0, home: expect.stringMatching(/^\//) });
});

it('says that there is no such user', async () => {
  await expect(findUser('gpuaas-nobody-has-this-name')).rejects.toMatchObject({ code: 'config.invalid' });
});
