import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { maxFirstWordsBytes } from '../../../../src/contract/signing.ts';
import { boundFirstWords } from '../../../../src/server/hub/first-words.ts';

function bounded() {
  const socket = new PassThrough();
  const told: string[] = [];
  const lift = boundFirstWords(socket, () => told.push('too much'));
  return { socket, told, lift, hear: (bytes: number) => socket.emit('data', Buffer.alloc(bytes)) };
}

it('closes what has said too much, once, and says so', () => {
  const { socket, told, hear } = bounded();

  hear(maxFirstWordsBytes);
  expect(socket.destroyed).toBe(false);
  for (const bytes of [1, 1]) hear(bytes);

  expect(socket.destroyed).toBe(true);
  expect(told).toEqual(['too much']);
});

it('closes what says little in very many pieces: each is kept with what it costs', () => {
  const { socket, hear } = bounded();

  for (let piece = 0; piece < 200; piece += 1) hear(1);

  expect(socket.destroyed).toBe(true);
});

it('lets say anything who was let in', () => {
  const { socket, told, lift, hear } = bounded();

  hear(1000);
  lift();
  hear(maxFirstWordsBytes);

  expect([socket.destroyed, told]).toEqual([false, []]);
});
