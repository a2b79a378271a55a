/** Key of the lock for what is made and taken away of one instance: its containers, its folders, its secrets. */
export function instanceLock(instance: string): string {
  return `instance ${instance}`;
}
