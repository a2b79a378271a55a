import { describe, expect, it } from 'vitest';
import {
  hasActiveEndpoints,
  isRemovalInProgress,
  readPullTrouble,
  readTrouble,
} from '../../../src/runtime/docker/engine-words.ts';

const digest = `sha256:${'4290403'.repeat(9)}a`;
const prefix = 'driver failed programming external connectivity on endpoint gpuaas-a (20de8a443da2):';

describe('the words of the engine about a taken port', () => {
  it.each([
    // 20.10, seen
    `${prefix} Bind for 127.0.0.1:28999 failed: port is already allocated`,
    `${prefix} Error starting userland proxy: listen tcp4 127.0.0.1:28999: bind: address already in use`,
    // 28, as reported
    `failed to set up container networking: ${prefix} failed to bind host port for 127.0.0.1:28999:172.18.0.2:80/tcp: address already in use`,
    `failed to set up container networking: ${prefix} Bind for 127.0.0.1:28999 failed: port is already allocated`,
    `${prefix} failed to bind host port 127.0.0.1:28999/tcp: address already in use`,
    `${prefix} Error starting userland proxy: listen tcp6 [::]:28999: bind: address already in use`,
  ])('name it: %s', (message) => {
    expect(readTrouble(message)).toEqual({ code: 'port.conflict', detail: { port: 28_999 } });
  });

  it('are understood without it, too', () => {
    expect(readTrouble('address already in use')).toEqual({ code: 'port.conflict', detail: {} });
  });

  it('are not found in others', () => {
    expect(readTrouble('OCI runtime create failed: exec: "x": executable file not found in $PATH')).toBeUndefined();
  });
});

describe('the words of the engine about a pull', () => {
  it.each([
    ['toomanyrequests: You have reached your pull rate limit.', 'image.rate_limited', true],
    ['error parsing HTTP 429 response body: invalid character: "slow down"', 'image.rate_limited', true],
    [`unexpected status code https://r/v2/x/manifests/${digest}: 429 Too Many Requests`, 'image.rate_limited', true],
    ['unauthorized: authentication required', 'image.unauthorized', false],
    ['Get "http://127.0.0.1:5000/v2/x/manifests/y": no basic auth credentials', 'image.unauthorized', false],
    ['denied', 'image.unauthorized', false],
    ['denied: requested access to the resource is denied', 'image.unauthorized', false],
    [
      "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access",
      'image.unauthorized',
      false,
    ],
    ['error parsing HTTP 403 response body: invalid character \'o\': "nope"', 'image.unauthorized', false],
    [
      'failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized',
      'image.unauthorized',
      false,
    ],
    ['unexpected status from HEAD request to https://r/v2/x: 403 Forbidden', 'image.unauthorized', false],
    ['manifest unknown', 'image.not_found', false],
    ['name unknown: repository name not known to registry', 'image.not_found', false],
    ['unknown blob', 'image.not_found', false],
    [`failed to resolve reference "r/x@${digest}": r/x@${digest}: not found`, 'image.not_found', false],
    [`manifest verification failed for digest ${digest}`, 'image.digest_mismatch', false],
    [`filesystem layer verification failed for digest ${digest}`, 'image.digest_mismatch', false],
    [
      `failed commit on ref "layer-x": unexpected commit digest ${digest}, expected sha256:0: failed precondition`,
      'image.digest_mismatch',
      false,
    ],
    ['write /var/lib/docker/tmp/GetImageBlob1: no space left on device', 'disk.full', false],
    ['no matching manifest for linux/arm64/v8 in the manifest list entries', 'image.pull_failed', false],
    ['received unexpected HTTP status: 503 Service Unavailable', 'image.pull_failed', true],
    [`Get "http://127.0.0.1:4290/v2/x/manifests/${digest}": EOF`, 'image.pull_failed', true],
    ['Get "https://r/v2/": net/http: TLS handshake timeout', 'image.pull_failed', true],
    ['Get "https://r/v2/": dial tcp: lookup r: no such host', 'image.pull_failed', true],
    ['open /var/lib/docker/tmp/x: permission denied', 'image.pull_failed', true],
    ['words that nobody has written yet', 'image.pull_failed', true],
  ])('%s', (message, code, retry) => {
    expect(readPullTrouble(message)).toMatchObject({ code, retry });
  });

  it.each([
    ['toomanyrequests: Retry after 7s', 7000],
    ['toomanyrequests: retry-after: 30', 30_000],
    ['toomanyrequests: limit exceeded, try again in 12 seconds', 12_000],
    ['toomanyrequests: no time named', undefined],
  ])('say how long to wait: %s', (message, ms) => {
    expect(readPullTrouble(message).retryAfterMs).toBe(ms);
  });
});

it('the words of the engine about what is still going on are known', () => {
  expect(isRemovalInProgress('removal of container gpuaas-a is already in progress')).toBe(true);
  expect(isRemovalInProgress('You cannot remove a running container')).toBe(false);
  expect(hasActiveEndpoints('error while removing network: network x id 237c has active endpoints')).toBe(true);
  expect(hasActiveEndpoints('network x not found')).toBe(false);
});
