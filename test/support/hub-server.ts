/**
 * A Hugging Face hub on loopback, with the answers of the real one: `/api/models/{repo}/revision/{rev}`, the tree of a commit in pages,
 * and `/{repo}/resolve/{commit}/{path}`, which redirects large files to a content network of another origin.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Content, type LoopbackSource, loopbackSource, sendContent } from './loopback-source.ts';

export interface HubModel {
  readonly repo: string;
  /** What `main` is now. */
  commit: string;
  /** Kept as large files: on the content network, by their sha256. */
  readonly large: Readonly<Record<string, Content>>;
  /** Kept in git. */
  readonly small: Readonly<Record<string, string>>;
  /** Who may read it; everybody where there is none. */
  readonly token?: string;
}

export interface Hub extends LoopbackSource {
  readonly network: LoopbackSource;
}

export async function hubServer(models: readonly HubModel[], { pageSize = 1000 } = {}): Promise<Hub> {
  const large = new Map(models.flatMap((model) => Object.values(model.large).map((each) => [each.sha256, each])));
  const network = await loopbackSource(async (request, response, url) => {
    const content = large.get(url.pathname.slice(1));
    // A link that is signed is not to be proven in another way too.
    if (!content || request.headers.authorization !== undefined) response.writeHead(400).end();
    else await sendContent(request, response, content, { etag: `"${content.sha256.slice(0, 32)}"` });
  });
  const hub = await loopbackSource(async (request, response, url) => {
    const at = (pattern: RegExp) => pattern.exec(decodeURIComponent(url.pathname));
    const info = at(/^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/);
    const tree = at(/^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/);
    const file = at(/^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/);
    const [, repo, revision = '', path = ''] = info ?? tree ?? file ?? [];
    const model = models.find((each) => each.repo === repo);
    if (!model || !isOpenTo(model, request)) {
      sendJson(response, 401, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' });
    } else if (revision !== 'main' && revision !== model.commit) {
      sendJson(response, 404, { error: `Invalid rev id: ${revision}` }, { 'x-error-code': 'RevisionNotFound' });
    } else if (info) {
      sendJson(response, 200, infoOf(model));
    } else if (tree) {
      const entries = entriesOf(model);
      const from = Number(url.searchParams.get('cursor') ?? 0);
      const next = new URL(url);
      next.searchParams.set('cursor', String(from + pageSize));
      const isLast = from + pageSize >= entries.length;
      sendJson(response, 200, entries.slice(from, from + pageSize), isLast ? {} : { link: `<${next}>; rel="next"` });
    } else if (model.large[path]) {
      const { sha256, size } = model.large[path];
      const linked = { 'x-linked-etag': `"${sha256}"`, 'x-linked-size': String(size), 'x-repo-commit': model.commit };
      const location = `${network.origin}/${sha256}?X-Amz-Signature=abc&Expires=1`;
      response.writeHead(302, { location, ...linked, 'accept-ranges': 'bytes' }).end();
    } else if (model.small[path] !== undefined) {
      const bytes = Buffer.from(model.small[path]);
      const content = {
        size: bytes.length,
        sha256: '',
        etag: '',
        read: (a: number, b: number) => [bytes.subarray(a, b)],
      };
      await sendContent(request, response, content, { etag: `"${gitOid(bytes)}"`, 'x-repo-commit': model.commit });
    } else {
      sendJson(response, 404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' });
    }
  });
  return { ...hub, network };
}

function isOpenTo({ token }: HubModel, { headers }: IncomingMessage): boolean {
  return token === undefined || headers.authorization === `Bearer ${token}`;
}

function infoOf({ repo, commit }: HubModel) {
  return {
    ...{ _id: '621ffdc036468d709f17434d', id: repo, private: false, pipeline_tag: 'text-generation', downloads: 12 },
    ...{ gated: false, likes: 3, lastModified: '2026-02-19T10:57:45.000Z', sha: commit },
  };
}

function entriesOf({ large, small }: HubModel) {
  const files = [
    ...Object.entries(large).map(([path, { size, sha256 }]) => ({
      ...{ type: 'file', oid: gitOid(Buffer.from(`pointer to ${sha256}`)), size, path },
      ...{ lfs: { oid: sha256, size, pointerSize: 134 }, xetHash: 'a'.repeat(64) },
    })),
    ...Object.entries(small).map(([path, text]) => {
      const bytes = Buffer.from(text);
      return { type: 'file', oid: gitOid(bytes), size: bytes.length, path };
    }),
  ];
  const folders = new Set(files.map(({ path }) => path.split('/').slice(0, -1).join('/')).filter(Boolean));
  return [...[...folders].map((path) => ({ type: 'directory', oid: 'b'.repeat(40), size: 0, path })), ...files];
}

function gitOid(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(value));
}
