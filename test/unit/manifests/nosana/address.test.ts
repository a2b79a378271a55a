/** Links to data: what they have behind their `?` is a key, wherever its author has written it. */
import { describe, expect, it } from 'vitest';
import { documentHash, takeSecrets } from '../../../../src/manifests/job-secrets.ts';
import { readNosanaJob } from '../../../../src/manifests/nosana/read-job.ts';

const run = (id: string, args: object) => ({ type: 'container/run', id, args: { image: 'alpine:3', ...args } });
const jobOf = (resources: readonly object[], variables: Record<string, string> = {}) => ({
  ...{ version: '0.1', type: 'container', global: { variables } },
  ops: [
    { ...run('first', {}), execution: { group: 'one' }, results: { link: 'link: (.*)' } },
    { ...run('second', { resources }), execution: { group: 'two' } },
  ],
});
const at = (index: number) => `/ops/1/args/resources/${index}`;
const s3 = { type: 'S3', target: '/data' } as const;

function accepted(document: object) {
  const read = readNosanaJob(document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read;
}

describe('the link to an object', () => {
  it('is shown without its query, which is a secret, and the rest stays as it is', () => {
    const document = jobOf([
      { ...s3, url: 'https://b.example.com/x?X-Amz-Signature=canary' },
      { ...s3, bucket: 'https://ada.example.com/y?sig=canary#canary' },
      { ...s3, buckets: [{ url: 'https://b.example.com/open/' }, { url: 'https://b.example.com/z?canary' }] },
    ]);

    const { document: bare, secrets } = takeSecrets(document, accepted(document).hidden);

    expect(Object.keys(secrets)).toEqual([`${at(0)}/url`, `${at(1)}/bucket`, `${at(2)}/buckets/1/url`]);
    expect(bare).toEqual(
      jobOf([
        { ...s3, url: 'https://b.example.com/x?secret' },
        { ...s3, bucket: 'https://ada.example.com/y?secret' },
        { ...s3, buckets: [{ url: 'https://b.example.com/open/' }, { url: 'https://b.example.com/z?secret' }] },
      ]),
    );
  });

  it('is a secret in the variables that it is made of as well', () => {
    const variables = { link: 'https://b.example.com/x?canary', store: 'https://b.example.com', key: 'canary', n: '1' };
    const document = jobOf(
      [
        { ...s3, url: '%%global.variables.link%%' },
        { ...s3, url: '%%global.variables.store%%/y?sig=%%globals.variables.key%%' },
        { ...s3, url: '%%ops.first.results.link%%' },
      ],
      variables,
    );

    const { document: bare } = takeSecrets(document, accepted(document).hidden);

    expect(bare).toMatchObject({
      global: { variables: { ...variables, link: 'https://b.example.com/x?secret', key: 'secret' } },
    });
    expect(JSON.stringify(bare)).not.toContain('canary');
  });

  it('has the same hash with its key and without it, and another one for another place', () => {
    const hashOf = (url: string, key = 'canary') => {
      const document = jobOf([{ ...s3, url }], { key });
      return documentHash(document, accepted(document).hidden);
    };
    const shown = hashOf('https://b.example.com/x?secret', 'secret');

    expect(hashOf('https://b.example.com/x?X-Goog-Signature=canary', 'secret')).toBe(shown);
    expect(hashOf('https://b.example.com/x?%%global.variables.key%%')).toBe(shown);
    expect(hashOf('https://b.example.com/y?secret', 'secret')).not.toBe(shown);
  });

  it.each([
    ['a result', 'https://b.example.com/x?sig=%%ops.first.results.link%%', {}],
    ['the id of the job', '%%global.variables.link%%&job=%%global.job%%', { link: 'https://b.example.com/x?a=b' }],
  ])('is refused where its query waits for %s, as nobody could seal that', (_, url, variables) => {
    const read = readNosanaJob(jobOf([{ ...s3, url }], variables));

    expect(read).toMatchObject({ ok: false, errors: [{ path: `${at(0)}/url`, code: 'literal' }] });
  });
});
