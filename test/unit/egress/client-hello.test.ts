/** What the first bytes of a tunnel are: from clients of TLS that are real, and from such as would like to pass for one. */
import { afterAll, describe, expect, it, vi } from 'vitest';
import { FirstBytesReader, readFirstBytes } from '../../../src/egress/client-hello.ts';
import { clientHello, closeAll } from './ground.ts';

afterAll(closeAll);

const record = (fragment: Buffer) =>
  Buffer.concat([Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 255]), fragment]);

describe('the first bytes of a tunnel', () => {
  it('give the name that a client of TLS asks for, in lower case', async () => {
    expect(readFirstBytes(await clientHello('API.Example'))).toEqual({ kind: 'tls', name: 'api.example' });
    expect(readFirstBytes(await clientHello(undefined))).toEqual({ kind: 'tls', name: undefined });
  });

  it('are waited for, however few come at once', async () => {
    const hello = await clientHello('a.example');

    for (let length = 0; length < hello.length; length += 1) {
      expect(readFirstBytes(hello.subarray(0, length))).toEqual({ kind: 'more' });
    }
  });

  it('may be in many records', async () => {
    const message = (await clientHello('a.example')).subarray(5);
    const records = Array.from({ length: Math.ceil(message.length / 7) }, (_, index) =>
      record(message.subarray(index * 7, index * 7 + 7)),
    );

    expect(readFirstBytes(Buffer.concat(records))).toEqual({ kind: 'tls', name: 'a.example' });
  });

  it('are read in about as much work as they are long, however small their records and their parts', async () => {
    const message = (await clientHello('a.example')).subarray(5);
    const all = Buffer.concat(Array.from(message, (_, index) => record(message.subarray(index, index + 1))));
    const concat = vi.spyOn(Buffer, 'concat');
    const reader = new FirstBytesReader();

    const said = Array.from(all, (_, index) => reader.add(all.subarray(index, index + 1)));
    const copied = concat.mock.results.reduce((sum, { value }) => sum + (value as Buffer).length, 0);
    concat.mockRestore();

    expect(said.findIndex(({ kind }) => kind !== 'more')).toBe(all.length - 1);
    expect(said.at(-1)).toEqual({ kind: 'tls', name: 'a.example' });
    expect(reader.bytes).toEqual(all);
    // Each look copies what is there twice at most; they are as few as the logarithm of its length, and not as many as its bytes.
    expect(copied).toBeLessThan(64 * all.length);
  });

  it('are a whole line as soon as its end has come, and nothing once they are too many', () => {
    const read = (text: string) => {
      const reader = new FirstBytesReader();
      return Array.from(text, (letter) => reader.add(Buffer.from(letter)).kind);
    };
    const line = `GET /${'x'.repeat(1000)} HTTP/1.1\r\n`;

    expect(read(line).indexOf('http')).toBe(line.length - 1);
    expect(read(`GET /${'x'.repeat(32_800)}`)).toContain('other');
    expect(read('SSH-2.0-x\r\n')).toContain('other');
  });

  it('are nothing where something stands behind the message, or inside it behind its parts', async () => {
    const hello = await clientHello('a.example');
    const longer = Buffer.concat([hello.subarray(5), Buffer.from([0])]);
    longer.writeUIntBE(longer.length - 4, 1, 3);

    expect(readFirstBytes(record(Buffer.concat([hello.subarray(5), Buffer.from('x')])))).toEqual({ kind: 'other' });
    expect(readFirstBytes(record(longer))).toEqual({ kind: 'other' });
  });

  it('may have behind them what a client says before it has an answer', async () => {
    const early = Buffer.from([23, 3, 3, 0, 1, 0]);

    expect(readFirstBytes(Buffer.concat([await clientHello('a.example'), early]))).toMatchObject({ name: 'a.example' });
  });

  it('are nothing with two names, or with one that is no plain text', async () => {
    const hello = await clientHello('a.example');
    const at = hello.indexOf('a.example');
    const odd = Buffer.from(hello);
    odd[at + 1] = 0;
    // The list of names says that it is longer than it is.
    const wrong = Buffer.from(hello);
    wrong[at - 4] = (wrong[at - 4] ?? 0) + 1;

    expect(readFirstBytes(odd)).toEqual({ kind: 'other' });
    expect(readFirstBytes(wrong)).toEqual({ kind: 'other' });
  });

  it('are nothing where a length is empty, too large, or of another protocol', () => {
    expect(readFirstBytes(Buffer.from([22, 3, 1, 0, 0]))).toEqual({ kind: 'other' });
    expect(readFirstBytes(Buffer.from([22, 3, 1, 255, 255]))).toEqual({ kind: 'other' });
    expect(readFirstBytes(Buffer.from([22, 2]))).toEqual({ kind: 'other' });
    expect(readFirstBytes(record(Buffer.from([1, 255, 255, 255])))).toEqual({ kind: 'other' });
    expect(readFirstBytes(record(Buffer.from([2, 0, 0, 1])))).toEqual({ kind: 'other' });
    expect(readFirstBytes(Buffer.from('SSH-2.0-x\r\n'))).toEqual({ kind: 'other' });
    expect(readFirstBytes(Buffer.from('PRI * HTTP/2.0\r\n'))).toEqual({ kind: 'other' });
  });

  it('are a request of http once its first line is whole', () => {
    const line = 'GET /x?y HTTP/1.1\r\n';

    for (let length = 1; length < line.length; length += 1) {
      expect(readFirstBytes(Buffer.from(line.slice(0, length)))).toEqual({ kind: 'more' });
    }
    expect(readFirstBytes(Buffer.from(line))).toEqual({ kind: 'http' });
  });

  it('never end the process, whatever they are', async () => {
    const hello = await clientHello('a.example');
    for (let index = 0; index < hello.length; index += 1) {
      for (const value of [0, 1, 127, 255]) {
        const changed = Buffer.from(hello);
        changed[index] = value;
        expect(['more', 'tls', 'http', 'other']).toContain(readFirstBytes(changed).kind);
      }
    }
  });
});
