import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLog, type Log, redact, redactText } from '../../../src/kit/log.ts';

/** Made up here, and not like any word. */
const canary = 'c4nary-9f8e7d6c5b4a';

describe('a log line', () => {
  it('is one JSON object with time, level, the values and the text last', () => {
    const { log, lines } = recordingLog({ task_id: 'task-1' });

    log.warn({ attempt: 2, delay_ms: 400 }, 'registry unreachable, will retry');

    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('\n')).toBe(true);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      task_id: 'task-1',
      attempt: 2,
      delay_ms: 400,
      msg: 'registry unreachable, will retry',
    });
    expect(Object.keys(JSON.parse(lines[0] ?? '')).at(-1)).toBe('msg');
  });

  it('is left out below the level', () => {
    const { log, lines } = recordingLog({}, 'warn');

    log.info({ attempt: 1 }, 'not that important');

    expect(lines).toEqual([]);
  });
});

describe('G-160: a secret that gets into a log call by mistake is not written', () => {
  const nested = (levels: number): unknown => (levels === 0 ? { value: canary } : { errors: nested(levels - 1) });
  const withCause = () => new Error('pull failed', { cause: new Error(`https://user:${canary}@registry/v2/`) });
  const attempts: [string, (log: Log) => void][] = [
    ['under a key that nobody declared', (log) => log.info({ credential: canary }, 'x')],
    ['in an object under an unknown key', (log) => log.info({ request: { headers: { auth: canary } } }, 'x')],
    ['under an unknown key below a known one', (log) => log.info({ errors: [{ path: '/x', token: canary }] }, 'x')],
    ['far down', (log) => log.info(nested(6) as object, 'x')],
    ['below everything that is looked into', (log) => log.info(nested(50) as object, 'x')],
    ['in the user info of a URL', (log) => log.info({ url: `https://user:${canary}@registry.example/v2/` }, 'x')],
    ['as the user of a URL', (log) => log.info({ url: `https://${canary}@registry.example/v2/` }, 'x')],
    ['in a password with an @ in it', (log) => log.info({ url: `https://u:p@${canary}@registry.example/v2/` }, 'x')],
    ['in the query of a URL', (log) => log.info({ url: `http://127.0.0.1:8888/lab?token=${canary}&x=1` }, 'x')],
    ['as a bearer header', (log) => log.info({ reason: `Authorization: Bearer ${canary}` }, 'x')],
    ['as a basic header in JSON', (log) => log.info({ reason: `{"authorization":"Basic ${canary}"}` }, 'x')],
    ['in JSON within JSON', (log) => log.info({ text: `{\\"password\\": \\"${canary}\\"}` }, 'x')],
    ['in a cookie', (log) => log.info({ text: `Set-Cookie: session=${canary}; Path=/` }, 'x')],
    ['as a variable', (log) => log.info({ text: `JUPYTER_TOKEN=${canary}` }, 'x')],
    ['as an option', (log) => log.info({ text: `tool --api-key ${canary}` }, 'x')],
    ['in the message of an error', (log) => log.error({ err: new Error(`bearer ${canary}`) }, 'x')],
    ['in a property of an error', (log) => log.error({ err: Object.assign(new Error('no'), { config: canary }) }, 'x')],
    ['in the cause of an error', (log) => log.error({ err: withCause() }, 'x')],
    ['in an error that is logged alone', (log) => log.error(new Error(`password: ${canary}`))],
    ['in an error without a text', (log) => log.error({ err: new Error(`password: ${canary}`) })],
    ['in the text', (log) => log.info(`token=${canary}`)],
    ['as bytes', (log) => log.info({ text: Buffer.from(canary) }, 'x')],
    ['in a list of URLs', (log) => log.info({ paths: [`ftp://a:${canary}@h/`] }, 'x')],
  ];

  it.each(attempts)('%s', (_name, attempt) => {
    const { log, lines } = recordingLog();

    attempt(log);

    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toContain(canary);
    expect(lines.join('')).not.toContain([...Buffer.from(canary)].slice(0, 5).join(','));
  });

  it('under any key and at any depth that is not declared', () => {
    const keys = fc
      .stringMatching(/^[a-z]{3,12}$/)
      .filter((key) => JSON.stringify(redact({ [key]: 1 })).includes('redacted'));

    fc.assert(
      fc.property(fc.array(keys, { minLength: 1, maxLength: 6 }), (path) => {
        const values = path.reduceRight<Record<string, unknown>>((inner, key) => ({ errors: [{ [key]: inner }] }), {
          [path[0] ?? '']: canary,
        });

        expect(JSON.stringify(redact(values))).not.toContain(canary);
      }),
    );
  });
});

describe('redaction', () => {
  it('leaves the values of declared keys as they are, at every level', () => {
    const values = {
      attempt: 1,
      adopted: true,
      exit_code: null,
      errors: [{ path: '/image', code: 'required', message: 'is missing' }],
      err: { cause: { reason: 'gone' } },
    };

    expect(redact(values)).toEqual(values);
  });

  it('keeps what a URL says besides its credential', () => {
    expect(redactText('GET https://user:pass@registry:5000/v2/a/b failed')).toBe(
      'GET https://[redacted]@registry:5000/v2/a/b failed',
    );
    expect(redactText('see https://registry:5000/v2/ and mail ops@example.org')).toBe(
      'see https://registry:5000/v2/ and mail ops@example.org',
    );
    expect(redactText('at //mirror:8080/a and 3://me:pass@h/, x-y+z.1://a:b@c@d/ and "://p@h"')).toBe(
      'at //mirror:8080/a and 3://[redacted]@h/, x-y+z.1://[redacted]@d/ and "://[redacted]@h"',
    );
  });

  it('describes errors with name, stack and cause, also where causes run in a circle', () => {
    const { log, lines } = recordingLog();
    const inner = new TypeError('inner');
    const outer = new Error('outer', { cause: inner });
    inner.cause = outer;

    log.error({ err: outer }, 'failed');

    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      err: {
        name: 'Error',
        message: 'outer',
        stack: expect.stringContaining('log.test.ts'),
        cause: { name: 'TypeError' },
      },
    });
  });

  it('takes time in proportion to the text: workloads write it', () => {
    const pieces = ['token', ' ', 'token ', 'authorization: ', 'a.', 'a://', '://', 'x', '"', 'https://a:b@', 'cookie'];
    const texts = pieces.flatMap((piece) => [piece.repeat(100_000), `token${piece.repeat(100_000)}`]);

    // What took the square of the length would not be over before the test is ended.
    for (const text of texts) {
      expect(redactText(text).length).toBeLessThanOrEqual(2 * text.length);
    }
  });
});

function recordingLog(base: Record<string, unknown> = {}, level = 'info'): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { log: createLog({ base, level, destination }), lines };
}
