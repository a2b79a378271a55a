import { randomUUID } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, vi } from 'vitest';
import { gpuaas } from '../../../src/cli/gpuaas-main.ts';
import { openDataDir } from '../../../src/server/data-dir.ts';
import { lockFolder } from '../../../src/server/db/sqlite/lock-folder.ts';
import { openSqliteStore } from '../../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../../src/server/db/store.ts';
import { keyFiles } from '../../../src/server/keys/server-keys.ts';
import { backUpStore, checkStore, restoreStore } from '../../../src/server/store-copies.ts';
import { anEvent, aProject } from '../../support/store-samples.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = temporaryFolder('copies');
const now = new Date('2026-11-25T10:00:00.000Z');
const unusable = (reason: string) =>
  expect.objectContaining({ code: 'store.unusable', message: expect.stringContaining(reason) });

const newFolder = () => join(root, randomUUID());
async function aDataDir() {
  const folder = newFolder();
  const data = await openDataDir(folder, { init: true, newAdminToken: false, newKeys: false, now: now.getTime() });
  return { folder, ...data };
}
/** A project and an event about it, together. */
const add = (store: Store, name: string) =>
  store.write(async (tx) => {
    await tx.projects.insert(aProject({ id: name, name }));
    await tx.events.append(anEvent({ subject: { kind: 'project', id: name } }));
  });
const names = async (folder: string) => {
  const store = openSqliteStore(join(folder, 'control-plane.db'));
  const found = await store.read(async (tx) => (await tx.projects.list()).map(({ name }) => name));
  await store.close();
  return found;
};

describe('a backup', () => {
  it('is of one moment, whatever is written meanwhile, and nobody else’s to read', async () => {
    const { folder, store, close } = await aDataDir();
    await store.write(async (tx) => {
      for (let index = 0; index < 2000; index += 1)
        await tx.events.append(anEvent({ data: { much: 'x'.repeat(500) } }));
    });
    const before = (await store.read((tx) => tx.events.range())).last;
    let written = 0;
    let stop = false;
    const writing = (async () => {
      while (!stop) {
        await add(store, `p${written}`);
        written += 1;
      }
    })();

    const files = [join(folder, '1.db'), join(folder, '2.db'), join(folder, '3.db')];
    const backups = [];
    for (const file of files) backups.push(await backUpStore(folder, file));
    stop = true;
    await writing;
    await close();

    expect(backups.map(({ last_event, holds }) => last_event - before - Number(holds['projects']))).toEqual([0, 0, 0]);
    expect(backups[2]?.holds['projects']).toBeGreaterThan(0);
    expect(files.map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
    expect(readdirSync(folder).filter((name) => /^\d\.db/.test(name))).toEqual(['1.db', '2.db', '3.db']);
    expect(checkStore('', files[0])).toEqual(backups[0]);
  });

  it('overwrites nothing, and leaves nothing where it cannot be written', async () => {
    const { folder, close } = await aDataDir();
    await close();
    const there = join(folder, 'there.db');
    writeFileSync(there, 'mine');
    const nowhere = join(folder, 'none', 'x.db');

    await expect(backUpStore(folder, there)).rejects.toThrow(expect.objectContaining({ code: 'file.unusable' }));
    await expect(backUpStore(folder, nowhere)).rejects.toThrow(expect.objectContaining({ code: 'file.unusable' }));
    await expect(backUpStore(newFolder(), nowhere)).rejects.toThrow(
      expect.objectContaining({ code: 'server.not_initialised' }),
    );

    expect(readFileSync(there, 'utf8')).toBe('mine');
    expect(existsSync(dirname(nowhere))).toBe(false);
  });

  it('is made whatever a killed one has left behind, which goes, and beside one that is at work, which stays', async () => {
    const { folder, close } = await aDataDir();
    const file = join(folder, 'b.db');
    const [killed, atWork] = ['killed', 'working'].map((name) => `${file}.unfinished-${name}`);
    for (const each of [killed, atWork]) {
      mkdirSync(each ?? '');
      lockFolder(each ?? '').release();
      writeFileSync(join(each ?? '', 'copy.db'), 'half');
      writeFileSync(join(each ?? '', 'copy.db-journal'), 'half');
    }
    const lock = lockFolder(atWork ?? '');

    await backUpStore(folder, file);
    lock.release();
    await close();

    expect(checkStore('', file).misshapen).toEqual([]);
    expect(existsSync(killed ?? '')).toBe(false);
    expect(readFileSync(join(atWork ?? '', 'copy.db'), 'utf8')).toBe('half');
    expect(readdirSync(folder).filter((name) => name.startsWith('b.db'))).toEqual(['b.db', 'b.db.unfinished-working']);
  });

  it('has no key of the control plane, no token and no half of a session in the clear', async () => {
    const { folder, adminToken = '', close } = await aDataDir();
    await backUpStore(folder, join(folder, 'b.db'));
    await close();

    const bytes = readFileSync(join(folder, 'b.db'));
    const keys = readdirSync(join(folder, 'keys')).flatMap((name) =>
      [...readFileSync(join(folder, 'keys', name), 'utf8').matchAll(/"(?:private|d)":\s*"([^"]{20,})"/g)].map(
        ([, key = '']) => key,
      ),
    );
    expect(keys.length).toBeGreaterThan(1);
    for (const secret of [...keys, adminToken.slice(-43)]) expect(bytes.includes(secret)).toBe(false);
  });
});

describe('restoring', () => {
  it('brings back what was there, sets aside what is there with all of it, and forgets sessions', async () => {
    const { folder, store, close } = await aDataDir();
    await add(store, 'old');
    const at = now.toISOString();
    const hash = 'h'.repeat(43);
    await store.write((tx) =>
      tx.sessions.insert({
        ...{ id: 's1', token_id: 't1', cookie_hash: hash, page_hash: hash, created_at: at, used_at: at },
      }),
    );
    const file = join(folder, 'b.db');
    await backUpStore(folder, file);
    await add(store, 'new');
    // As after a kill: what was written last is beside the file, not in it.
    const killed = newFolder();
    cpSync(folder, killed, { recursive: true });
    await close();
    expect(statSync(join(killed, 'control-plane.db-wal')).size).toBeGreaterThan(0);

    const { set_aside, has_keys } = restoreStore(killed, file, now);

    expect(set_aside).toBe(join(killed, 'control-plane.db.before-20261125T100000Z'));
    expect(has_keys).toBe(true);
    expect(await names(killed)).toEqual(['old']);
    expect(statSync(join(killed, 'control-plane.db')).mode & 0o777).toBe(0o600);
    expect(checkStore(killed).holds['sessions']).toBe(0);
    mkdirSync(join(killed, 'aside'));
    cpSync(set_aside ?? '', join(killed, 'aside/control-plane.db'));
    cpSync(`${set_aside}-wal`, join(killed, 'aside/control-plane.db-wal'));
    expect(await names(join(killed, 'aside'))).toEqual(['new', 'old']);
    const opened = await openDataDir(killed, { init: false, newAdminToken: false, newKeys: false, now: now.getTime() });
    await opened.close();
  });

  it.runIf(process.geteuid?.() === 0)(
    'by root belongs to whom the folder belongs to, and so does the lock',
    async () => {
      const { folder, close } = await aDataDir();
      await backUpStore(folder, join(folder, 'b.db'));
      await close();
      const theirs = newFolder();
      mkdirSync(theirs);
      chownSync(theirs, 65534, 65534);

      expect(restoreStore(theirs, join(folder, 'b.db'), now).has_keys).toBe(false);

      const owners = ['control-plane.db', 'lock.db'].map((name) => statSync(join(theirs, name)).uid);
      expect(owners).toEqual([65534, 65534]);
    },
  );

  it.each(keyFiles)('is not started without %s: no node would know it with another', async (name) => {
    const { folder, close } = await aDataDir();
    await close();
    rmSync(join(folder, 'keys', name));
    const open = (newKeys: boolean) =>
      openDataDir(folder, { init: true, newAdminToken: false, newKeys, now: now.getTime() });

    await expect(open(false)).rejects.toMatchObject({
      code: 'server.key_unusable',
      detail: { path: join(folder, 'keys', name) },
    });
    expect(existsSync(join(folder, 'keys', name))).toBe(false);
    await (await open(true)).close();
    await (await open(false)).close();
  });

  it('can be taken back after a kill: what was set aside comes back with what lay beside it', async () => {
    const { folder, store, close } = await aDataDir();
    await backUpStore(folder, join(folder, 'b.db'));
    await add(store, 'new');
    const killed = newFolder();
    cpSync(folder, killed, { recursive: true });
    await close();
    const { set_aside } = restoreStore(killed, join(folder, 'b.db'), now);

    const restored = restoreStore(killed, set_aside ?? '', new Date(now.getTime() + 1000));

    expect(await names(killed)).toEqual(['new']);
    expect(checkStore(killed).holds).toEqual(restored.holds);
  });

  it('makes a folder where there is none, and says that the keys are missing', async () => {
    const { folder, store, close } = await aDataDir();
    await add(store, 'one');
    await backUpStore(folder, join(folder, 'b.db'));
    await close();
    const fresh = newFolder();

    expect(restoreStore(fresh, join(folder, 'b.db'), now)).toMatchObject({ set_aside: null, has_keys: false });
    expect(await names(fresh)).toEqual(['one']);
    expect(statSync(fresh).mode & 0o777).toBe(0o700);
  });

  it('puts a sound store in place of one that is damaged', async () => {
    const { folder, store, close } = await aDataDir();
    await add(store, 'one');
    const file = join(folder, 'b.db');
    await backUpStore(folder, file);
    await close();
    writeFileSync(join(folder, 'control-plane.db'), 'not a store any more');
    writeFileSync(join(folder, 'control-plane.db-wal'), 'nor this');

    const { set_aside } = restoreStore(folder, file, now);

    expect(await names(folder)).toEqual(['one']);
    expect(readFileSync(set_aside ?? '', 'utf8')).toBe('not a store any more');
    expect(readFileSync(`${set_aside}-wal`, 'utf8')).toBe('nor this');
  });

  it('is refused while a control plane is at work on the folder, and changes nothing', async () => {
    const { folder, store, close } = await aDataDir();
    await backUpStore(folder, join(folder, 'b.db'));
    await add(store, 'later');

    expect(() => restoreStore(folder, join(folder, 'b.db'), now)).toThrow(
      expect.objectContaining({ code: 'server.running' }),
    );
    await close();

    expect(await names(folder)).toEqual(['later']);
    expect(readdirSync(folder).filter((name) => name.includes('restored') || name.includes('before'))).toEqual([]);
  });

  const change = (sql: string) => (file: string) => {
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
  };
  it.each<[string, (file: string) => void, string]>([
    ['is no store', (file) => writeFileSync(file, 'hello'), 'file is not a database'],
    ['is empty', (file) => writeFileSync(file, ''), 'It is no store of a control plane'],
    ['is another database', change('PRAGMA user_version = 0'), 'It is no store of a control plane'],
    ['is of a newer version', change('PRAGMA user_version = 999'), 'It was written by a newer version: 999'],
    ['holds what it should not', change("UPDATE projects SET body = '{}'"), 'projects one:'],
    [
      'does something by itself',
      change(
        'CREATE TRIGGER again AFTER DELETE ON api_tokens BEGIN INSERT INTO api_tokens VALUES (old.id, old.body); END',
      ),
      'It has what no store has: trigger again',
    ],
    ['has a view in place of a table', change('CREATE VIEW others AS SELECT 1 AS id'), 'view others'],
    ['holds no JSON', change("UPDATE events SET body = '{'"), 'is no JSON'],
    ['lost its middle', (file) => writeFileSync(file, scratched(readFileSync(file))), 'malformed'],
    ['lost its end', (file) => writeFileSync(file, readFileSync(file).subarray(0, 9000)), ''],
  ])('is refused of a file that %s, and changes nothing', async (_, spoil, reason) => {
    const { folder, store, close } = await aDataDir();
    await add(store, 'one');
    const file = join(root, `${randomUUID()}.db`);
    await backUpStore(folder, file);
    await add(store, 'two');
    await close();
    spoil(file);

    expect(() => restoreStore(folder, file, now)).toThrow(unusable(reason));

    expect(await names(folder)).toEqual(['one', 'two']);
    expect(readdirSync(folder).filter((name) => name.includes('before'))).toEqual([]);
  });
});

/** Every page but the first is noise. */
function scratched(bytes: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(bytes.length - 4096, 0x5a)]);
}

describe('gpuaas store', () => {
  async function run(...args: string[]) {
    let shown = '';
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation((text) => {
        shown += String(text);
        return true;
      }),
    );
    const status = await gpuaas(['store', ...args]);
    for (const spy of spies) spy.mockRestore();
    return { status, shown };
  }

  it('backs up, checks and restores, and says that a backup has no keys', async () => {
    const { folder, close } = await aDataDir();
    const file = join(folder, 'b.db');

    const backedUp = await run('backup', file, '--data-dir', folder);
    const checked = await run('check', '--data-dir', folder, '--json');
    const running = await run('restore', file, '--data-dir', folder);
    await close();
    const restored = await run('restore', file, '--data-dir', folder, '--json');

    expect([backedUp.status, checked.status, running.status, restored.status]).toEqual([0, 0, 2, 0]);
    expect(backedUp.shown).toContain('It has no keys');
    expect(JSON.parse(checked.shown)).toMatchObject({ sound: true, schema_version: 1, holds: { apps: 2 } });
    expect(running.shown).toContain('[server.running]');
    expect(JSON.parse(restored.shown)).toMatchObject({ file, has_keys: true, set_aside: expect.any(String) });
  });

  it('says what a store holds that it should not, by its exit status as well', async () => {
    const { folder, close } = await aDataDir();
    await close();
    const database = new DatabaseSync(join(folder, 'control-plane.db'));
    database.exec("UPDATE apps SET body = '{}'");
    database.close();

    const { status, shown } = await run('check', '--data-dir', folder);

    expect(status).toBe(1);
    expect(shown).toContain('apps jupyterlab');
  });

  it('says of a file that it is no store, or damaged, with 1, and with 2 that there is none', async () => {
    const { folder, close } = await aDataDir();
    const [sound = '', cut = '', other = ''] = ['b.db', 'cut.db', 'other.db'].map((name) => join(folder, name));
    await backUpStore(folder, sound);
    await close();
    writeFileSync(cut, readFileSync(sound).subarray(0, 9000));
    writeFileSync(other, 'hello');

    const ran = [];
    for (const file of [sound, cut, other, join(folder, 'none.db')]) ran.push(await run('check', file, '--json'));

    expect(ran.map(({ status }) => status)).toEqual([0, 1, 1, 2]);
    const codes = ran.slice(1).map(({ shown }) => JSON.parse(shown).failure.code);
    expect(codes).toEqual(['store.unusable', 'store.unusable', 'file.unusable']);
    expect((await run('check', '--data-dir', newFolder())).status).toBe(2);
  });
});
