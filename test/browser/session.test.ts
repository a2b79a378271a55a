/** Who gets in at the console, what the session opens, and what becomes of an open page while the control plane is away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';

const newApp = { slug: 'later', display_name: 'Added later', summary: 'Was not there before.', category: 'test' };
let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole();
});
afterAll(() => ground?.close());

const pageHalf = "localStorage.getItem('gpuaas.page-half')";
const away = [
  /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|ERR_INCOMPLETE_CHUNKED_ENCODING/,
];

describe('signing in', () => {
  it('leads to the catalog, and holds when the page is loaded again', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.member);
      await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();

      await page.reload();

      await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();
      expect(await page.getByRole('button', { name: 'Sign in' }).count()).toBe(0);
    });
  });

  it('says what is wrong with a token that opens nothing, and lets one try again', async () => {
    const wrong = ground.fleet.tokens.member.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    await visit(
      ground.url,
      async (page) => {
        await page.getByLabel('API token').fill(wrong);
        await page.getByRole('button', { name: 'Sign in' }).click();

        await page.getByText('This token does not open the control plane.').waitFor();
        await signIn(page, ground.fleet.tokens.member);
      },
      { expects: [/status of 401/] },
    );
  });

  it('keeps the token nowhere, and the cookie where no script and no other path reads it', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.member);
      await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();

      const kept = await page.evaluate<string>(
        'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
      );
      const cookies = await page.context().cookies(`${ground.url}/api/v1/session`);
      expect(kept).not.toContain(ground.fleet.tokens.member.split('_')[2]);
      expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict', path: '/api' }]);
      expect(kept).not.toContain(cookies[0]?.value);
    });
  });

  it('gives a cookie that opens nothing without the half that the page keeps', async () => {
    await visit(
      ground.url,
      async (page) => {
        await signIn(page, ground.fleet.tokens.admin);
        const status = (headers: object) =>
          page.evaluate<number>(
            `fetch('/api/v1/app-instances', { headers: ${JSON.stringify(headers)} }).then(({ status }) => status)`,
          );
        const half = await page.evaluate<string>(pageHalf);

        expect(await status({ 'x-gpuaas-csrf': half })).toBe(200);
        expect(await status({})).toBe(401);
        expect(await status({ 'x-gpuaas-csrf': `${half}x` })).toBe(401);
      },
      { expects: [/status of 401/] },
    );
  });

  it('ends with signing out: neither half opens anything any more', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.member);
      await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();
      const half = await page.evaluate<string>(pageHalf);
      const [cookie] = await page.context().cookies(`${ground.url}/api/v1/session`);

      await page.evaluate("sessionStorage.setItem('gpuaas.launch-key', 'what was typed')");
      await page.getByRole('button', { name: 'Sign out' }).click();

      await page.getByRole('button', { name: 'Sign in' }).waitFor();
      expect(await page.evaluate('sessionStorage.length')).toBe(0);
      expect(await page.evaluate(pageHalf)).toBeNull();
      const headers = { cookie: `${cookie?.name}=${cookie?.value}`, 'x-gpuaas-csrf': half };
      expect((await fetch(`${ground.url}/api/v1/app-instances`, { headers })).status).toBe(401);
      await page.goto(`${ground.url}/#/instances`);
      await page.getByRole('button', { name: 'Sign in' }).waitFor();
    });
  });
});

it('is there again after a workload has set more cookies than any request can carry', async () => {
  await visit(
    ground.url,
    async (page) => {
      // What the page asks for by itself would be refused first, and take the cookies away.
      await page.goto('about:blank');
      const bomb = Array.from({ length: 8 }, (_, at) => ({ name: `bomb${at}`, value: 'x'.repeat(4000) }));
      await page.context().addCookies(bomb.map((each) => ({ ...each, url: ground.url })));

      const refused = await page.goto(`${ground.url}/?again`);
      expect(refused?.status()).toBe(431);
      await page.goto(ground.url);

      await page.getByRole('button', { name: 'Sign in' }).waitFor();
    },
    // The failure is no page, so the browser looks for its icon.
    { expects: [/status of 431/, /favicon\.ico/] },
  );
});

describe('an open page', () => {
  it('says so while the control plane is away, keeps what it shows, and goes on without being loaded again', async () => {
    await visit(
      ground.url,
      async (page) => {
        await signIn(page, ground.fleet.tokens.admin);
        const card = page.getByRole('heading', { name: 'JupyterLab' });
        await card.waitFor();
        await page.evaluate('globalThis.sameDocument = true');

        await ground.server.stop('SIGKILL');
        await page.getByText('Connection lost').waitFor();
        expect(await card.isVisible()).toBe(true);
        await ground.server.start();
        await page.getByText('Connection lost').waitFor({ state: 'hidden' });
        await ground.call('POST', '/api/v1/catalog/apps', newApp);

        await page.getByRole('heading', { name: newApp.display_name }).waitFor();
        expect(await page.evaluate('globalThis.sameDocument')).toBe(true);
      },
      { expects: away },
    );
  });
});
