/**
 * A Python package index of the tests' own: wheels written by hand, served as a simple index (PEP 503) over HTTP.
 *
 * A container reaches it at the gateway of its bridge; nothing of it leaves the machine.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { askEngine } from './engine-api.ts';
import { storedZip } from './zip.ts';

/** A pure Python package, ready to be served. */
export interface Wheel {
  /** Project name in its normalised form (`a-b`). */
  readonly project: string;
  readonly filename: string;
  readonly content: Buffer;
}

/** An index that answers. */
export interface PythonIndex {
  /** Address of the index, credentials included when it asks for them. */
  readonly url: string;
  readonly port: number;
  /** What pip must find in its environment to use this index alone, plain HTTP and all. */
  readonly env: { readonly PIP_INDEX_URL: string; readonly PIP_TRUSTED_HOST: string };
  /** `METHOD PATH STATUS` of every request so far. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** What a test may ask of an index. */
export interface IndexOptions {
  /** Credentials that the index asks for. */
  readonly auth?: { readonly user: string; readonly password: string };
  /** Without it, a free one. */
  readonly port?: number;
  /** Runs before each answer: a promise that does not end makes the index hang. */
  readonly beforeAnswer?: (path: string) => Promise<void>;
}

/**
 * Makes a wheel. `requires` are PEP 508 requirements; `modules` maps file paths to Python source, by default one module
 * of the package's name with `__version__`.
 */
export function buildWheel(
  name: string,
  version: string,
  options: { requires?: readonly string[]; modules?: Readonly<Record<string, string>> } = {},
): Wheel {
  const project = name.toLowerCase().replaceAll(/[-_.]+/g, '-');
  const module = project.replaceAll('-', '_');
  const info = `${module}-${version}.dist-info`;
  const requires = (options.requires ?? []).map((requirement) => `Requires-Dist: ${requirement}\n`).join('');
  const files: Record<string, string> = {
    ...(options.modules ?? { [`${module}.py`]: `__version__ = '${version}'\n` }),
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${requires}`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: gpuaas-dev\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  };
  const rows = Object.entries(files).map(
    ([path, text]) => `${path},sha256=${recordHash(text)},${Buffer.byteLength(text)}`,
  );
  files[`${info}/RECORD`] = `${rows.join('\n')}\n${info}/RECORD,,\n`;
  return { project, filename: `${module}-${version}-py3-none-any.whl`, content: storedZip(files) };
}

/** Serves wheels at `host` until it is closed. */
export async function serveIndex(
  wheels: readonly Wheel[],
  host: string,
  options: IndexOptions = {},
): Promise<PythonIndex> {
  const pages = pagesOf(wheels);
  const requests: string[] = [];
  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    await options.beforeAnswer?.(path);
    const page = isAllowed(request, options.auth) ? (pages.get(path) ?? NOT_FOUND) : UNAUTHORIZED;
    requests.push(`${request.method} ${path} ${page.status}`);
    response.writeHead(page.status, { ...page.headers, 'content-length': page.body.length });
    response.end(request.method === 'HEAD' ? undefined : page.body);
  }

  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const env = envOfIndex(host, port, options.auth);
  return {
    ...{ url: env.PIP_INDEX_URL, port, env, requests },
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** What pip must find in its environment to use the index at this address alone. */
export function envOfIndex(host: string, port: number, auth?: IndexOptions['auth']): PythonIndex['env'] {
  const login = auth === undefined ? '' : `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.password)}@`;
  return { PIP_INDEX_URL: `http://${login}${host}:${port}/simple/`, PIP_TRUSTED_HOST: `${host}:${port}` };
}

/** The host's address on the engine's default bridge: where a container finds what the tests serve. */
export async function bridgeGateway(socketPath: string): Promise<string> {
  const bridge = await askEngine<{ IPAM: { Config: { Subnet?: string; Gateway?: string }[] } }>({
    socketPath,
    method: 'GET',
    path: '/networks/bridge',
  });
  const { Gateway: gateway, Subnet: subnet } = bridge.IPAM.Config[0] ?? {};
  // An engine that has just made its bridge names the subnet alone; the gateway is the first address of it.
  const first = subnet?.replace(/\.0\/\d+$/, '.1');
  const address = gateway || first;
  if (address === undefined) throw new Error('The engine has no default bridge.');
  return address;
}

interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const NOT_FOUND: Page = { status: 404, headers: {}, body: Buffer.from('not found\n') };
const UNAUTHORIZED: Page = {
  status: 401,
  headers: { 'www-authenticate': 'Basic realm="index"' },
  body: Buffer.from('unauthorized\n'),
};

function pagesOf(wheels: readonly Wheel[]): Map<string, Page> {
  const projects = Map.groupBy(wheels, (wheel) => wheel.project);
  const pages = new Map<string, Page>();
  pages.set(
    '/simple/',
    htmlPage([...projects.keys()].map((project) => `<a href="/simple/${project}/">${project}</a>`)),
  );
  for (const [project, files] of projects) {
    const links = files.map(({ filename, content }) => {
      const hash = createHash('sha256').update(content).digest('hex');
      return `<a href="/files/${filename}#sha256=${hash}">${filename}</a>`;
    });
    pages.set(`/simple/${project}/`, htmlPage(links));
    pages.set(`/simple/${project}`, {
      status: 301,
      headers: { location: `/simple/${project}/` },
      body: Buffer.alloc(0),
    });
  }
  for (const { filename, content } of wheels) {
    pages.set(`/files/${filename}`, { status: 200, headers: { 'content-type': 'application/zip' }, body: content });
  }
  return pages;
}

function htmlPage(links: readonly string[]): Page {
  const body = `<!DOCTYPE html>\n<html><body>\n${links.join('<br>\n')}\n</body></html>\n`;
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: Buffer.from(body) };
}

function isAllowed(request: IncomingMessage, auth: IndexOptions['auth']): boolean {
  if (auth === undefined) return true;
  const expected = Buffer.from(`${auth.user}:${auth.password}`).toString('base64');
  return request.headers.authorization === `Basic ${expected}`;
}

const recordHash = (text: string) => createHash('sha256').update(text).digest('base64url');
