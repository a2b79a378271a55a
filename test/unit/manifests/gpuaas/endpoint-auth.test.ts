import { expect, it } from 'vitest';
import { bearerPath } from '../../../../src/manifests/gpuaas/endpoint-auth.ts';
import type { EndpointAuth, ProfileEndpoint } from '../../../../src/manifests/gpuaas/profile.ts';
import { smokeProfile, vllmProfile } from '../../../support/profiles.ts';

it('asks an endpoint as the profile asks whether it is ready', () => {
  const profile = vllmProfile();
  const [openai] = profile.network?.endpoints ?? [];

  expect(bearerPath(profile, openai as ProfileEndpoint)).toBe('/v1/models');
});

it.each<[string, EndpointAuth, string | null]>([
  ['a page that anybody may see', { mode: 'none' }, null],
  ['a page that a browser opens with its token', { mode: 'generated_token', token_env: 'T', url_query: 'token' }, null],
  ['a page that asks for the token itself', { mode: 'generated_token', token_file_env: 'T' }, null],
  ['an interface that reads its token from a variable', { mode: 'generated_token', token_env: 'T' }, '/'],
])('of %s', (_what, auth, path) => {
  const profile = smokeProfile();
  const [endpoint] = profile.network?.endpoints ?? [];

  expect(bearerPath(profile, { ...(endpoint as ProfileEndpoint), auth })).toBe(path);
});
