/** A server that has one image at several addresses, most of which are not what they should be. */
import { contentOf, type LoopbackSource, loopbackSource, sendContent } from './loopback-source.ts';

export interface Mirrors extends LoopbackSource {
  url(kind: MirrorKind): string;
}

/** `stalls`: after half of it nothing more comes. `lies`: as long, with another byte in it. `mute`: does not say how long it is. `drips`: a byte now and then. */
export type MirrorKind = 'gone' | 'stalls' | 'drips' | 'lies' | 'good' | 'mute' | 'other';

export async function mirrorsOf(bytes: Buffer): Promise<Mirrors> {
  const lie = Buffer.from(bytes);
  const at = Math.floor(lie.length * 0.75);
  lie[at] = (lie[at] as number) ^ 1;
  const source = await loopbackSource(async (request, response, { pathname }) => {
    switch (pathname.slice(1)) {
      case 'good':
        return await sendContent(request, response, contentOf(bytes));
      case 'lies':
        return await sendContent(request, response, contentOf(lie));
      case 'other':
        return await sendContent(request, response, contentOf('not found, but 200'));
      case 'mute':
        response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(bytes);
        return;
      case 'drips': {
        if (request.headers.range === 'bytes=0-0') return await sendContent(request, response, contentOf(bytes));
        response.writeHead(200, { 'content-length': bytes.length });
        let at = 0;
        const timer = setInterval(() => response.write(bytes.subarray(at, ++at)), 10);
        response.once('close', () => clearInterval(timer));
        return;
      }
      case 'stalls': {
        const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const half = Math.floor(bytes.length / 2);
        const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
        if (request.headers.range === 'bytes=0-0') return await sendContent(request, response, contentOf(bytes));
        response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.length - start, ...(start > 0 && range) });
        response.write(bytes.subarray(start, Math.max(start, half)));
        return;
      }
      default:
        response.writeHead(404).end();
    }
  });
  return { ...source, url: (kind) => `${source.origin}/${kind}` };
}
