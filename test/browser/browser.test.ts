/** The ground of all other tests in a browser: it shows what goes wrong in a page. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { visit } from '../support/browser.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';

/** Browsers ask for one by themselves. */
const icon = '<link rel="icon" href="data:,">';

/** A server with this page, and the policy that the console has for scripts. */
async function pageOf(body: string): Promise<string> {
  const server = createServer(({ url }, response) => {
    response.statusCode = url === '/' ? 200 : 404;
    response.setHeader('content-type', 'text/html');
    response.setHeader(
      'content-security-policy',
      "default-src 'self' http: data:; script-src 'nonce-own'; style-src 'nonce-own'",
    );
    response.end(
      url === '/'
        ? `<!doctype html><html lang="en"><title>t</title>${icon}<style nonce="own">#pale { color: #ccc }</style><main>${body}</main></html>`
        : '',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const script = (code: string) => `<script nonce="own">${code}</script>`;

describe('a visit', () => {
  it('gives what the test makes of the page', async () => {
    const url = await pageOf(script('document.title = "changed"'));

    expect(await visit(url, (page) => page.title())).toBe('changed');
  });

  it.each([
    ['an error on the console', 'console', 'console.error("broken", 7)', /console: broken 7/],
    ['an exception', 'pageerror', 'throw new Error("thrown")', /uncaught: Error: thrown/],
    ['something that is not there', 'console', 'fetch("/gone")', /status of 404/],
    [
      'a request to another origin',
      'requestfailed',
      'fetch("http://127.0.0.1:9/").catch(() => 0)',
      /other origin: http:\/\/127.0.0.1:9/,
    ],
    ['what its policy forbids', 'console', 'document.body.setAttribute("onclick", "x")', /Content Security Policy/],
  ] as const)('fails for %s, unless the test expects it', async (_, event, code, fault) => {
    const url = await pageOf(
      `<button>Go</button>${script(`document.querySelector('button').onclick = () => { ${code} }`)}`,
    );
    const provoke = async (page: Page) => {
      await Promise.all([page.waitForEvent(event as 'console'), page.getByRole('button').click()]);
    };

    await expect(visit(url, provoke)).rejects.toThrow(fault);
    await visit(url, provoke, { expects: [fault, /127.0.0.1:9\//] });
  });

  it('is somebody new each time', async () => {
    const url = await pageOf('');

    await visit(url, (page) => page.evaluate('localStorage.setItem("who", "me")'));

    expect(await visit(url, (page) => page.evaluate('localStorage.getItem("who")'))).toBeNull();
  });

  it('keeps the failure of the test itself', async () => {
    const url = await pageOf(script('console.error("broken")'));

    await expect(visit(url, () => Promise.reject(new Error('the test says so')))).rejects.toThrow('the test says so');
  });
});

describe('what is looked for in a page', () => {
  it('finds a control without a name, and text that can hardly be read', async () => {
    const url = await pageOf('<h1>T</h1><button></button><p id="pale">pale</p>');

    const faults = await visit(url, accessibilityFaults);

    expect(faults.toSorted()).toEqual([
      expect.stringMatching(/^button-name: <button>/),
      expect.stringMatching(/^color-contrast: <p/),
    ]);
  });

  it('finds what is wider than the screen', async () => {
    const wide = `<pre id="wide">${'x'.repeat(400)}</pre><p>fits</p>`;

    expect(await visit(await pageOf(wide), beyondTheEdge, { width: 360 })).toEqual(['pre#wide']);
    expect(await visit(await pageOf('<p>fits</p>'), beyondTheEdge, { width: 360 })).toEqual([]);
  });
});
