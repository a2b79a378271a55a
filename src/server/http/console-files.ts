/**
 * The console, as it is served: a few files in memory, found by the exact path that is asked for, so that no path leads anywhere
 * else. They are the same for everybody and hold no data: what a page shows it asks the interface for, with a session.
 *
 * What a page may do is bounded by its policy: nothing but files and answers of this origin, in no frame, by no inline script.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AgentError } from '../../contract/failures.ts';
import { addressOf } from './door.ts';
import type { RateLimits } from './rate-limits.ts';

export interface ConsoleFile {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** Its name changes with its bytes, so a browser never has to ask again. */
  readonly immutable?: boolean;
}

/** By path: `/` is the page, everything else lies below `/assets/`. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

/** Where the page is, the only path that may be followed to from another site. */
export const pagePath = '/';

const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');

const headers = {
  'content-security-policy': policy,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  vary: 'accept-encoding',
};

interface Served extends ConsoleFile {
  readonly gzip: Uint8Array;
  readonly etag: string;
}

/** Serves the console at `/` and `/assets/`. It is loaded when somebody first asks; undefined where there is none. */
export function serveConsole(
  app: FastifyInstance,
  load: (() => Promise<ConsoleFiles>) | undefined,
  limits: RateLimits,
): void {
  let loading: Promise<ReadonlyMap<string, Served>> | undefined;
  const files = async () => {
    loading ??= (load?.() ?? Promise.resolve(new Map())).then(prepared);
    try {
      return await loading;
    } catch (error) {
      loading = undefined;
      throw error;
    }
  };
  for (const url of [pagePath, '/assets/*']) {
    app.route({
      ...{ method: ['GET', 'HEAD'], url, exposeHeadRoute: false },
      handler: async (request, reply) => {
        limits.count('address', `${addressOf(request.raw.socket)} ${url}`);
        const [path = ''] = request.url.split('?');
        const file = (await files()).get(path);
        if (!file) throw new AgentError('resource.not_found', { reason: reasonFor(path, load !== undefined) });
        return send(request, reply, file);
      },
    });
  }
}

function reasonFor(path: string, hasConsole: boolean): string {
  if (hasConsole) return `The console has no file ${JSON.stringify(path.slice(0, 200))}.`;
  return 'This control plane has no console; `/openapi.json` describes its interface.';
}

function send({ headers: asked }: FastifyRequest, reply: FastifyReply, file: Served): FastifyReply {
  reply.headers({
    ...{ ...headers, 'content-type': file.contentType, etag: file.etag },
    'cache-control': file.immutable === true ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
  if (listOf(asked['if-none-match']).some((etag) => etag === '*' || etag === file.etag)) {
    return reply.code(304).send();
  }
  const takesGzip = listOf(asked['accept-encoding']).some((coding) =>
    /^gzip(;q=(1(\.0*)?|0\.\d*[1-9]\d*))?$/i.test(coding),
  );
  const isSmaller = file.gzip.length < file.bytes.length;
  if (takesGzip && isSmaller) reply.header('content-encoding', 'gzip');
  return reply.send(takesGzip && isSmaller ? file.gzip : file.bytes);
}

function listOf(header: string | string[] | undefined): string[] {
  return String(header ?? '')
    .split(',')
    .map((item) => item.replaceAll(/\s/g, ''));
}

function prepared(files: ConsoleFiles): ReadonlyMap<string, Served> {
  return new Map(
    [...files].map(([path, file]) => {
      const bytes = Buffer.from(file.bytes);
      // Weak: the same for both codings.
      const etag = `W/"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
      return [path, { ...file, bytes, etag, gzip: gzipSync(bytes, { level: 9 }) }];
    }),
  );
}
