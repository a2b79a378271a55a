import { describe, expect, it } from 'vitest';
import { draftOf, fromDraft } from '../../../../src/console/pages/launch/draft.ts';
import { beginWizard } from '../../../../src/console/pages/launch/wizard-state.ts';
import { jupyterProfile, vllmProfile } from '../../../support/profiles.ts';

const profile = vllmProfile();
const begun = beginWizard(profile);
const later = {
  ...begun,
  ...{ step: 3, own: ['/config/host_port'], tried: [1], notice: 'Something changed.' },
  texts: { host_port: '80x' },
  answers: {
    ...begun.answers,
    config: { ...begun.answers.config, host_port: '80x' },
    secrets: { hub_token: 'hf_topsecret' },
  },
};

describe('a draft', () => {
  it('brings a wizard back as it was, but for secrets that were typed', () => {
    const text = draftOf(later);

    expect(text).not.toContain('topsecret');
    expect(fromDraft(profile, text)).toEqual({ ...later, notice: null, answers: { ...later.answers, secrets: {} } });
  });

  it('keeps which stored credential was chosen', () => {
    const secrets = { hub_token: { credential_id: 'c1' } };

    expect(fromDraft(profile, draftOf({ ...begun, answers: { ...begun.answers, secrets } })).answers.secrets).toEqual(
      secrets,
    );
  });

  it.each([
    null,
    '',
    'no json',
    '[]',
    '{}',
    '{"answers":{}}',
    '{"own":[],"tried":[],"step":1,"answers":{},"texts":{}}',
  ])('begins anew where there is none: %j', (text) => {
    expect(fromDraft(profile, text)).toEqual(begun);
  });

  it('knows no parameter that the manifest does not have any more', () => {
    const jupyter = jupyterProfile();

    const { answers, texts } = fromDraft(jupyter, draftOf(later));

    expect(Object.keys(answers.config).every((name) => Object.hasOwn(jupyter.parameters.schema.properties, name))).toBe(
      true,
    );
    expect(answers.config).not.toHaveProperty('model');
    expect(texts).toEqual({ host_port: '80x' });
  });
});
