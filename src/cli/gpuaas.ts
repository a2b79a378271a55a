/** The command `gpuaas`: the control plane, and what people do with it. */
import { leaveNoMemoryBehind } from './crash.ts';
import { gpuaas } from './gpuaas-main.ts';
import { outliveReaders } from './output.ts';

leaveNoMemoryBehind();
outliveReaders();

process.exitCode = await gpuaas(process.argv.slice(2));
