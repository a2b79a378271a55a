/**
 * Loaded into a process before it begins (`--import`): SIGUSR2 becomes an exception that nobody catches, with all that an
 * error may carry; SIGPWR fills the heap until Node gives up.
 */
const secret = process.env['GPUAAS_TEST_CANARY'] ?? '';

process.on('SIGUSR2', () => {
  const cause = Object.assign(new Error('below'), { headers: { 'X-Registry-Auth': secret } });
  throw Object.assign(new Error('a bug', { cause }), { params: { env: { KEY: secret } } });
});

process.on('SIGPWR', () => {
  const full: string[] = [];
  for (;;) full.push(`${secret} ${full.length}`.repeat(50));
});
