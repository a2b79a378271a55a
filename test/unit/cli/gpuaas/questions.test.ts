import { expect, it } from 'vitest';
import { terminalQuestions } from '../../../../src/cli/gpuaas/questions.ts';

const asked: { message: string; validate?: (text: string) => unknown }[] = [];
const ask = async (question: (typeof asked)[number]) => void asked.push(question);
const prompts = { input: ask, password: ask, select: ask } as never;

it('writes no label and no complaint to the terminal that would steer it, whoever wrote the manifest', async () => {
  const hostile = 'Name\u001b]0;owned\u0007\u202e\nlaunch it';
  const questions = await terminalQuestions(prompts);

  await questions.text(hostile, '', () => hostile);
  await questions.secret(hostile, () => hostile);
  await questions.choose(hostile, [{ name: hostile, value: 1, unavailable: hostile }]);

  expect(asked).toHaveLength(3);
  const shown = asked.flatMap(({ message, validate }) => [message, String(validate?.(''))]).join('');
  expect(shown).toContain('owned');
  expect(shown).not.toMatch(/[\p{Cc}\u202e]/u);
});

it('accepts what nothing is wrong with', async () => {
  await (await terminalQuestions(prompts)).text('Name', '', () => undefined);

  expect(asked.at(-1)?.validate?.('x')).toBe(true);
});
