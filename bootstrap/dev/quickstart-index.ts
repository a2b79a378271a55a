/** The package index of quickstart as a process of its own: HOST PORT. It has one package, and answers until it is ended. */
import { buildWheel, serveIndex } from './python-index.ts';

const hello = "greeting = 'installed before the notebook was ready, gone when it is launched anew'\n";
const [host = '', port = ''] = process.argv.slice(2);
const wheel = buildWheel('quickstart-hello', '1.0.0', { modules: { 'quickstart_hello.py': hello } });

const { url } = await serveIndex([wheel], host, { port: Number(port) });
console.log(`packages are at ${url}`);
