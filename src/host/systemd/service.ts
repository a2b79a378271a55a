/** A process of ours as a service of systemd, or not: whom it tells how it is, and where its log belongs. */
import { fstatSync } from 'node:fs';
import { takeInheritedFiles } from './inherited-files.ts';
import { type ServiceManager, takeServiceManager } from './service-manager.ts';
import { type LineSink, openSystemJournal } from './system-journal.ts';

export interface Service {
  readonly manager: ServiceManager;
  /** Undefined where the log belongs on stderr as it is. */
  readonly journal: LineSink | undefined;
  /** The kernel's log, where the unit has opened it: whoever may not open it himself can read it here. */
  readonly kernelLog: number | undefined;
}

/** To be called once, before anything is started. */
export function takeService(identifier: string, env: NodeJS.ProcessEnv): Service {
  const files = takeInheritedFiles(env);
  return {
    manager: takeServiceManager(env, files),
    journal: openSystemJournal(identifier, env, files),
    kernelLog: files.get('kernel-log') ?? kernelLogAt(stdin),
  };
}

/** `StandardInput=` of its unit, by which a systemd without `OpenFile=` can open one file. */
const stdin = 0;
/** `/dev/kmsg`, by whatever path: major 1, minor 11. */
const kernelLogNumber = 0x10b;

function kernelLogAt(file: number): number | undefined {
  const there = fstatSync(file);
  return there.isCharacterDevice() && there.rdev === kernelLogNumber ? file : undefined;
}
