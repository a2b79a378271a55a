import { expect, it } from 'vitest';
import { EgressImage } from '../../../src/gate/egress-image.ts';
import type { EngineCall, Upstream } from '../../../src/gate/upstream.ts';
import type { Log } from '../../../src/kit/log.ts';

it('the image of the proxies is measured again after an engine did not load it', async () => {
  const asked: string[] = [];
  const engine = {
    ask: async ({ method, path }: EngineCall) => {
      if (method === 'GET' && path.startsWith('/images/sha256:')) asked.push(path);
      const status = method === 'GET' ? 404 : 200;
      return { status, contentType: undefined, body: Buffer.from('{"error":"the digest is another"}') };
    },
  } as unknown as Upstream;
  let text = '';
  const program = async () => ({ files: [{ path: '/opt/program', from: { text } }], command: ['/opt/program'] });
  const image = new EgressImage(engine, {} as Log, undefined, program);
  const ensure = () => image.ensure(new AbortController().signal);

  for (text of ['one', 'two', 'two']) {
    await expect(ensure()).rejects.toMatchObject({ code: 'egress.unavailable' });
  }

  const [one, two, same] = asked;
  expect(asked).toHaveLength(3);
  expect(two).not.toBe(one);
  expect(same).toBe(two);
});
