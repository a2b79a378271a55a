import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { socketState } from '../../../src/host/listening-sockets.ts';
import { testFolder } from './stand-ins.ts';

it('sees a listener without connecting to it (G-156)', async () => {
  const { path, connections } = await listener();

  expect(await socketState(path)).toBe('listening');
  expect(connections()).toBe(0);
});

it('sees a listener whose path leads through a link', async () => {
  const { folder, name } = await listener();
  const alias = join(testFolder(), 'run');
  symlinkSync(folder, alias);

  expect(await socketState(join(alias, name))).toBe('listening');
});

it('tells a socket that nobody listens on from one that is not there', async () => {
  const { path, folder } = await listener();
  const table = join(folder, 'table');
  writeFileSync(table, tableOf(`0000000000000000: 00000003 00000000 00000000 0001 03 4711 ${path}`));

  expect(await socketState(path, table)).toBe('abandoned');
  expect(await socketState(join(folder, 'other.sock'))).toBe('absent');
});

it('reads the table of the kernel: only accepting sockets with a file count', async () => {
  const folder = testFolder();
  mkdirSync(join(folder, 'run'));
  const [one, two] = [join(folder, 'run/one.sock'), join(folder, 'run/two with space.sock')];
  writeFileSync(one, '');
  writeFileSync(two, '');
  const table = join(folder, 'table');
  writeFileSync(
    table,
    tableOf(
      `00000000be2e878d: 00000002 00000000 00010000 0001 01  8841 @${one}`,
      '00000000be2e878d: 00000002 00000000 00010000 0001 01  8841',
      `00000000be2e878e: 00000002 00000000 00010000 0001 01 88410 ${two}`,
    ),
  );

  expect(await socketState(one, table)).toBe('abandoned');
  expect(await socketState(two, table)).toBe('listening');
});

function tableOf(...lines: string[]): string {
  return ['Num       RefCount Protocol Flags    Type St Inode Path', ...lines, ''].join('\n');
}

async function listener() {
  const folder = testFolder();
  const name = 'service.sock';
  const path = join(folder, name);
  let count = 0;
  const server = createServer((connection) => {
    count += 1;
    connection.destroy();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
  return { folder, name, path, connections: () => count };
}
