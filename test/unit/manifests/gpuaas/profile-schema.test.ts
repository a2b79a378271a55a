/** The schema as other people get it: the file of the repository, the command, and the control plane (G-21). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  profileSchemaName,
  profileSchemaPath,
  profileSchemaText,
} from '../../../../src/manifests/gpuaas/profile-schema.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { type Changes, jupyterDocument, vllmDocument } from '../../../support/profiles.ts';
import { testServer } from '../../../support/test-server.ts';

const root = resolve(import.meta.dirname, '../../../..');
const published = readFileSync(join(root, 'docs/schemas', profileSchemaName), 'utf8');
const fixture = (name: string) => readFileSync(join(root, 'fixtures/manifests/gpuaas', name), 'utf8');
const ajv = new Ajv({ strict: true, allowUnionTypes: false, allErrors: true });
const validate = ajv.compile(JSON.parse(published));

/** The stack that the reference shows, word for word. */
const referenceStack = `
renderer: vllm_openai
topology:
  description: Single-node OpenAI-compatible inference endpoint.
  services:
    - name: vllm
      role: openai_server
      endpoints: [openai]
      mounts: [workspace]
`;

describe('the published schema of profiles', () => {
  it('is the declaration that the control plane judges by, byte for byte: `gpuaas manifest schema gpuaas` renews it (G-21)', () => {
    expect(published).toBe(profileSchemaText());
  });

  it('is served by the control plane to everybody, without a token', async () => {
    const { call } = await testServer();

    const { status, headers, body } = await call('GET', profileSchemaPath, { as: null });

    expect([status, headers.get('content-type')]).toEqual([200, 'application/schema+json; charset=utf-8']);
    expect(body).toBe(published);
  });

  it('compiles in strict mode and accepts the manifest of the reference as it stands (G-21, G-144)', () => {
    const text = fixture('jupyterlab.yaml');

    // The text of the reference, from `profile:` to the end of `validation`.
    expect(createHash('sha256').update(text).digest('hex')).toBe(
      '1be2c17958b40b02ac15ae3e344556023e7c8448c5213a87dee10977a6555247',
    );
    expect([validate(parse(text)), validate.errors]).toEqual([true, null]);
  });

  it('accepts the manifest of vLLM, and the stack of the reference in it as it stands (G-21, G-93)', () => {
    const document = vllmDocument({ '/execution/compose': parse(referenceStack), '/parameters/secrets': undefined });

    expect([validate(parse(fixture('vllm-openai.yaml'))), validate.errors]).toEqual([true, null]);
    expect([validate(document), readProfile(document).ok]).toEqual([true, true]);
  });

  it.each<[string, Changes, string]>([
    ['another kind (G-22)', { '/profile/kind': 'gpuaas.other' }, '/profile/kind const'],
    ['another version (G-23)', { '/profile/schema_version': 'v2' }, '/profile/schema_version const'],
    ['a slug that is none (G-24)', { '/profile/slug': 'Jupyter Lab' }, '/profile/slug pattern'],
    ['no slug (G-24)', { '/profile/slug': undefined }, '/profile required'],
    ['an empty name (G-25)', { '/profile/display_name': '' }, '/profile/display_name minLength'],
    ['no description (G-26)', { '/profile/description': undefined }, '/profile required'],
    ['an unknown support level (G-27)', { '/profile/support_level': 'gold' }, '/profile/support_level enum'],
    ['another launch mode (G-28)', { '/profile/launch_mode': 'new_allocation' }, '/profile/launch_mode const'],
    ['no image at all (G-29)', { '/artifacts': {} }, '/artifacts minProperties'],
    ['another source (G-30)', { '/artifacts/primary_image/source': 'hub' }, '/artifacts/primary_image/source const'],
    [
      'an artifact without a name (G-31)',
      { '/artifacts/amd_rocm_image/artifact_name': undefined },
      '/artifacts/amd_rocm_image required',
    ],
    [
      'no word on the digest (G-32)',
      { '/artifacts/primary_image/digest_required': 'yes' },
      '/artifacts/primary_image/digest_required type',
    ],
    [
      'another media type (G-33)',
      { '/artifacts/primary_image/media_type': 'text/html' },
      '/artifacts/primary_image/media_type enum',
    ],
    [
      'a platform component that there is not (G-58)',
      { '/parameters/ui/launch_wizard/steps/0/components/0/kind': 'platform.shell' },
      '/parameters/ui/launch_wizard/steps/0/components/0/kind enum',
    ],
    ['the text of an engine (G-94)', { '/execution/compose': 'services: {}' }, '/execution/compose type'],
    ['a storage driver (G-202)', { '/storage/mounts/0/driver': 'ceph' }, '/storage/mounts/0 additionalProperties'],
    ['a storage product (G-202)', { '/storage/product': { kind: 'ceph' } }, '/storage additionalProperties'],
  ])('refuses %s by itself', (_what, changes, fault) => {
    expect(validate(jupyterDocument(changes))).toBe(false);
    expect(validate.errors?.map(({ instancePath, keyword }) => `${instancePath} ${keyword}`)).toContain(fault);
  });

  it('names the renderers there are where a manifest asks for another (G-91)', () => {
    expect(validate(vllmDocument({ '/execution/compose/renderer': 'mine' }))).toBe(false);
    expect(validate.errors).toMatchObject([
      { instancePath: '/execution/compose/renderer', params: { allowedValues: ['vllm_openai', 'smoke_stack'] } },
    ]);
  });

  it('takes images under names of their own beside the primary one (G-29)', () => {
    const { primary_image } = jupyterDocument()['artifacts'] as Record<string, object>;

    expect(validate(jupyterDocument({ '/artifacts/tpu_v5_image': primary_image }))).toBe(true);
  });
});
