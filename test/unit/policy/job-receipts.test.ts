import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { IdentityKey } from '../../../src/contract/enrolment.ts';
import type { JobReceipt, NodeKeys } from '../../../src/contract/job-receipt.ts';
import { judgeReceipts, planHash, receiptHash, signReceipt } from '../../../src/policy/job-receipts.ts';

const [first, second, stranger] = [makeKey(), makeKey(), makeKey()];
const keys: NodeKeys[] = [
  {
    node_id: 'node-1',
    keys: [
      { key: first.publicJwk, until: '2026-06-01T00:00:00Z' },
      { key: second.publicJwk, until: null },
    ],
  },
];
const strict = { gaps: false };

describe('a receipt', () => {
  it('is believed with the key of its node', () => {
    const [verdict] = judgeReceipts([{ file: 'a', jws: `${signReceipt(receipt(1, null), first)}\n` }], keys, strict);

    expect(verdict).toMatchObject({ refusal: null, receipt: { job_id: 'job-1', number: 1 } });
  });

  it('is not believed with one bit changed, wherever it is', () => {
    const jws = signReceipt(receipt(1, null), first);
    const bits = [...Array(jws.length * 8).keys()].filter((bit) => bit % 13 === 0 || bit >= jws.length * 8 - 16);
    const believed = bits.filter((bit) => {
      const bytes = Buffer.from(jws, 'latin1');
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const text = bytes.toString('latin1');
      return judgeReceipts([{ file: 'a', jws: text }], keys, strict)[0]?.refusal === null;
    });

    expect(believed).toEqual([]);
  });

  it.each(Object.keys(receipt(1, null)))('is not believed with another %s under the same signature', (field) => {
    const [header, payload = '', signature] = signReceipt(receipt(1, null), first).split('.');
    const said = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const { [field]: _gone, ...without } = said;
    const forged = [
      without,
      { ...said, [field]: typeof said[field] === 'number' ? said[field] + 1 : `${said[field]}x` },
    ].map((body) => `${header}.${Buffer.from(JSON.stringify(body)).toString('base64url')}.${signature}`);

    const refusals = forged.map((jws) => judgeReceipts([{ file: 'a', jws }], keys, strict)[0]?.refusal);

    expect(refusals).toEqual(Array(2).fill('Its signature is wrong: it was changed after it was signed.'));
  });

  it.each([
    ['of a key that nobody gave', signReceipt(receipt(1, null), stranger), /none of the keys/],
    ['of another node', signReceipt({ ...receipt(1, null), node_id: 'node-2' }, first), /speaks for node node-2/],
    ['of another form', signReceipt({ ...receipt(1, null), version: 2 } as never, first), /no receipt of this version/],
    ['in the middle without one before it', signReceipt(receipt(2, null), first), /number 2/],
    ['that begins behind another', signReceipt(receipt(1, 'a'.repeat(64)), first), /number 1/],
    ['without a signature', signReceipt(receipt(1, null), first).replace(/[^.]+$/, ''), /signature is wrong/],
    ['of another kind', otherKind(), /no receipt/],
    ['that is no JWS', 'hello', /no receipt/],
  ])('%s is not believed', (_name, jws, why) => {
    expect(judgeReceipts([{ file: 'a', jws }], keys, strict)[0]?.refusal).toMatch(why);
  });
});

describe('a chain of receipts', () => {
  it('is believed in any order of its files, also where the keys of the node were rotated in the middle', () => {
    const links = chain([first, first, second, second]);

    const verdicts = judgeReceipts(links.toReversed(), keys, strict);

    expect(verdicts.map(({ file, refusal }) => [file, refusal])).toEqual([1, 2, 3, 4].map((n) => [`r${n}`, null]));
  });

  it('names the link that is missing, unless gaps are allowed', () => {
    const links = chain([first, first, first, first, first]).filter(({ file }) => !['r2', 'r4'].includes(file));

    expect(judgeReceipts(links, keys, strict).map(({ refusal }) => refusal)).toEqual([
      null,
      'Of the chain, number 2 is missing between r1 and r3.',
      'Of the chain, number 4 is missing between r3 and r5.',
    ]);
    expect(judgeReceipts(links, keys, { gaps: true }).map(({ refusal }) => refusal)).toEqual([null, null, null]);
  });

  it('is broken where one was made anew, or twice', () => {
    const [one, two, three] = chain([first, first, first]) as [Link, Link, Link];
    const other = { file: 'other', jws: signReceipt({ ...receipt(2, receiptHash(one.jws)), state: 'failed' }, first) };

    expect(refusals([one, other, three])).toEqual([null, null, 'It does not follow other, number 2 of its chain.']);
    expect(refusals([one, two, other])).toEqual([
      null,
      null,
      'There are two receipts with the number 2: the other one is r2.',
    ]);
    expect(refusals([one, two, { ...two, file: 'again' }, three])).toEqual([null, null, null, null]);
  });

  it('takes no key again that was left behind', () => {
    expect(refusals(chain([first, second, first]))).toEqual([
      null,
      null,
      'It is signed by a key that number 2, before it, had left behind.',
    ]);
  });

  it('is not mixed up with another one of the node, or of another node', () => {
    const others = chain([first, first]).map(({ jws }, place) => ({ file: `o${place}`, jws }));
    const fresh = { file: 'fresh', jws: signReceipt({ ...receipt(1, null), chain: 'other' }, second) };

    expect(refusals([...others, fresh])).toEqual([null, null, null]);
  });
});

it('hashes a plan whatever the order of its keys', () => {
  expect(planHash({ b: 1, a: [{ d: null, c: 'x' }] })).toBe(planHash({ a: [{ c: 'x', d: null }], b: 1 }));
  expect(planHash({ a: 1 })).not.toBe(planHash({ a: 2 }));
});

interface Link {
  readonly file: string;
  readonly jws: string;
}

function refusals(links: readonly Link[]) {
  return judgeReceipts(links, keys, strict).map(({ refusal }) => refusal);
}

function chain(signers: readonly ReturnType<typeof makeKey>[]): Link[] {
  const links: Link[] = [];
  for (const signer of signers) {
    const before = links.at(-1);
    const jws = signReceipt(receipt(links.length + 1, before ? receiptHash(before.jws) : null), signer);
    links.push({ file: `r${links.length + 1}`, jws });
  }
  return links;
}

function otherKind(): string {
  const text = [{ alg: 'EdDSA', typ: 'gpuaas-task+jws' }, receipt(1, null)]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${first.sign(text)}`;
}

function receipt(number: number, previous: string | null): JobReceipt {
  return {
    ...{ version: 1, node_id: 'node-1', chain: 'c1', number, previous, job_id: `job-${number}`, project_id: 'p1' },
    ...{ allocation_id: 'al-1', task_id: `t-${number}`, attempt: 1, plan_sha256: '1'.repeat(64) },
    document_sha256: '2'.repeat(64),
    images: [{ id: 'i', reference: `r/x@sha256:${'3'.repeat(64)}`, image_id: `sha256:${'4'.repeat(64)}` }],
    inputs: [{ id: 'in', sha256: '5'.repeat(64) }],
    steps: [
      {
        ...{ id: 's', state: 'succeeded', exit_code: 0, signal: null, oom_killed: false },
        ...{ started_at: '2026-05-01T00:00:00Z', ended_at: '2026-05-01T00:00:01Z' },
      },
    ],
    outputs: [{ name: 'out', kind: 'artifact', sha256: '6'.repeat(64), bytes: 3 }],
    ...{ state: 'succeeded', started_at: '2026-05-01T00:00:00Z', ended_at: '2026-05-01T00:00:02Z' },
  };
}

function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const publicJwk: IdentityKey = { kty: 'OKP', crv: 'Ed25519', x };
  return { publicJwk, sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString('base64url') };
}
