import { Type } from 'typebox';
import { expect, it } from 'vitest';
import { cleanOutput } from '../../../src/agent/clean-output.ts';
import { HiddenTexts } from '../../../src/agent/hidden-texts.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOutput } from '../../../src/contract/workload-output.ts';
import { launchOci } from '../../../src/tasks/workload-oci-launch.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { launchParams, taskContext } from '../../support/task-bench.ts';

const hiding = (...secrets: string[]) => {
  const hidden = new HiddenTexts();
  for (const secret of secrets) hidden.hide(secret);
  return <Value>(value: Value) => hidden.clean(value);
};

it.each(['running', 'container', 'oci_container', 'private', '127.0.0.1'])(
  'an output can be read where a secret is the word %s',
  async (word) => {
    const output = await launchOci(launchParams(), taskContext(recordingEngine().engine).context);

    const cleaned = cleanOutput(
      WorkloadOutput,
      { ...output, summary: `It said s3cr3t and ${word}.` },
      hiding(word, 's3cr3t'),
    );

    expect(judge(WorkloadOutput, cleaned)).toMatchObject({ ok: true });
    expect(cleaned.state).toBe('running');
    expect(cleaned.summary).toBe('It said [redacted] and [redacted].');
  },
);

it('a text that what stands for a secret makes too long is cut, and no secret comes back', () => {
  const schema = Type.Object({ text: Type.String({ maxLength: 12 }), words: Type.Array(Type.Enum(['on', 'secret'])) });

  const cleaned = cleanOutput(schema, { text: 'a secret now', words: ['secret'] }, hiding('secret'));

  expect(cleaned).toEqual({ text: 'a [redacted]', words: ['secret'] });
});

it('an output that no schema accepts stays clean', () => {
  const schema = Type.Object({ text: Type.String() }, { additionalProperties: false });
  const output = { text: 'a secret', more: { text: 'secret' } };

  expect(cleanOutput(schema, output, hiding('secret'))).toEqual({ text: 'a [redacted]', more: { text: '[redacted]' } });
});

it('what has no output has none', () => {
  expect(cleanOutput(WorkloadOutput, null, hiding('secret'))).toBe(null);
});
