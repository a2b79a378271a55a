import { describe, expect, it } from 'vitest';
import { joinTokenPattern } from '../../../src/contract/enrolment.ts';
import {
  closeCodes,
  enrolPath,
  enrolText,
  helloText,
  maxFrameBytes,
  pinText,
  registryCredentialsPath,
  rotateKeysPath,
  rotateText,
  rotationJwsType,
  sessionPath,
  sessionSubprotocol,
  taskJwsType,
} from '../../../src/contract/signing.ts';

const key = (x: string) => ({ x });
const hello = { nonce: 'n', audience: 'https://cp', node_id: 'node-1', epoch: 7, boot_id: 'b' };

describe('a signed text', () => {
  const texts = {
    hello: helloText(hello),
    enrol: enrolText({ token_id: 't', audience: 'https://cp', identity_key: key('i'), wrapping_key: key('w') }),
    rotate: rotateText({ node_id: 'n', audience: 'https://cp', identity_key: key('i'), wrapping_key: key('w') }),
    pin: pinText({ task_key: key('t'), release_root: key('r'), ca: '' }),
  };

  it('begins with a domain that no other one has', () => {
    const domains = Object.values(texts).map((text) => text.split('\n')[0]);

    expect(new Set(domains).size).toBe(domains.length);
  });

  it.each(Object.keys(hello) as (keyof typeof hello)[])('of a hello changes with its %s', (part) => {
    expect(helloText({ ...hello, [part]: typeof hello[part] === 'number' ? 8 : 'other' })).not.toBe(texts.hello);
  });

  it('cannot be shifted from one part into the next by a line feed', () => {
    expect(() => helloText({ ...hello, nonce: 'n\nhttps://cp' })).toThrow('line feed');
  });

  it('takes the lines of a CA, which is its last part', () => {
    const ca = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';

    expect(pinText({ task_key: key('t'), release_root: key('r'), ca })).toBe(`gpuaas-join-pin-v1\nt\nr\n${ca.trim()}`);
  });
});

describe('the names on the wire, which other tools rely on (DESIGN 4, 5)', () => {
  it('are what they always were', () => {
    expect({ sessionSubprotocol, sessionPath, enrolPath, rotateKeysPath, registryCredentialsPath }).toEqual({
      sessionSubprotocol: 'gpuaas.agent.v1',
      sessionPath: '/agent/v1/session',
      enrolPath: '/agent/v1/enroll',
      rotateKeysPath: '/agent/v1/node-keys',
      registryCredentialsPath: '/agent/v1/registry-credentials',
    });
    expect([taskJwsType, rotationJwsType]).toEqual(['gpuaas-task+jws', 'gpuaas-task-key+jws']);
    expect(maxFrameBytes).toBe(2 ** 20);
  });

  it('close a session with a code for each reason', () => {
    expect(closeCodes).toMatchObject({ unauthenticated: 4401, revoked: 4403, superseded: 4409 });
    expect(new Set(Object.values(closeCodes)).size).toBe(Object.keys(closeCodes).length);
  });
});

describe('a join token', () => {
  const secret = 'A'.repeat(43);

  it.each([
    ['name, secret and pin', `abcdefgh12345678.${secret}.${secret}`, true],
    ['no pin', `abcdefgh12345678.${secret}`, false],
    ['a short secret', `abcdefgh12345678.AAAA.${secret}`, false],
    ['a line feed at its end', `abcdefgh12345678.${secret}.${secret}\n`, false],
  ])('with %s', (_what, token, accepted) => {
    expect(new RegExp(joinTokenPattern).test(token)).toBe(accepted);
  });
});
