/** The command `gpuaas`: the control plane, and what people do with it. */
import { gpuaas } from './gpuaas-main.ts';

process.exitCode = await gpuaas(process.argv.slice(2));
