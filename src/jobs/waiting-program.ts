/**
 * The program that the container of a script waits in: a static ELF of some hundred bytes, so that any image will do, also one
 * without a shell or a C library.
 *
 * It sleeps in the kernel until it gets a signal. Then it asks every other process of its container to end (SIGTERM), waits until
 * none is left and ends with 0: so a command that runs is ended with the grace of its job, though an engine tells the first
 * process alone. Which signal that is depends on the image (STOPSIGNAL), so all of them are waited for.
 *
 *   block all signals ─▶ wait for one ─▶ kill(-1, SIGTERM) ─▶ is anybody left? ─no─▶ exit(0)
 *                                                               ▲      │yes
 *                                                               └ 20 ms ┘
 */

export type WaitingArchitecture = 'x64' | 'arm64';

/** All of the file is loaded here, to be read and run. Pages of up to 64 KiB begin here. */
const base = 0x40_00_00;
const pageBytes = 0x1_00_00;
const elfBytes = 64;
const segmentBytes = 56;
/** Numbers that the code points to, behind the headers. */
const data = elfBytes + 2 * segmentBytes;
const everySignal = base + data;
const endingSignals = everySignal + 8;
const shortPause = endingSignals + 8;
const code = data + 32;

/** Those of which nobody means an end: CHLD, CONT, URG, WINCH. */
const passedOver = [17, 18, 23, 28].reduce((set, signal) => set | (1n << BigInt(signal - 1)), 0n);
const all = 2n ** 64n - 1n;
const sigterm = 15;
/** `-ESRCH` of kill(-1, 0): there is nobody else. */
const nobody = -3;

export function waitingProgram(architecture: WaitingArchitecture): Buffer {
  const { machine, instructions } = {
    x64: { machine: 62, instructions: x64() },
    arm64: { machine: 183, instructions: arm64() },
  }[architecture];
  const size = code + instructions.length;
  const file = Buffer.alloc(size);
  // 64 bit, little-endian, version 1, System V.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  file.writeUInt16LE(2, 16); // e_type: an executable at a fixed place
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20); // e_version
  file.writeBigUInt64LE(BigInt(base + code), 24); // e_entry
  file.writeBigUInt64LE(BigInt(elfBytes), 32); // e_phoff
  file.writeUInt16LE(elfBytes, 52); // e_ehsize
  file.writeUInt16LE(segmentBytes, 54); // e_phentsize
  file.writeUInt16LE(2, 56); // e_phnum
  writeSegment(file, elfBytes, { type: 1, flags: 5, at: base, size, align: pageBytes }); // PT_LOAD, read and run
  writeSegment(file, elfBytes + segmentBytes, { type: 0x6474e551, flags: 6, at: 0, size: 0, align: 16 }); // PT_GNU_STACK, never run
  file.writeBigUInt64LE(all, data);
  file.writeBigUInt64LE(all & ~passedOver, data + 8);
  file.writeBigInt64LE(0n, data + 16); // seconds
  file.writeBigInt64LE(20_000_000n, data + 24); // nanoseconds
  file.set(instructions, code);
  return file;
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly at: number;
  readonly size: number;
  readonly align: number;
}

function writeSegment(file: Buffer, offset: number, { type, flags, at, size, align }: Segment): void {
  file.writeUInt32LE(type, offset);
  file.writeUInt32LE(flags, offset + 4);
  file.writeBigUInt64LE(BigInt(at), offset + 16); // p_vaddr
  file.writeBigUInt64LE(BigInt(at), offset + 24); // p_paddr
  file.writeBigUInt64LE(BigInt(size), offset + 32); // p_filesz
  file.writeBigUInt64LE(BigInt(size), offset + 40); // p_memsz
  file.writeBigUInt64LE(BigInt(align), offset + 48);
}

function x64(): Buffer {
  const syscall = { rt_sigprocmask: 14, rt_sigtimedwait: 128, kill: 62, exit_group: 231 };
  const call = (number: number) => [0xb8, ...word(number), 0x0f, 0x05]; // mov eax, number; syscall
  const setBytes = [0x41, 0xba, ...word(8)]; // mov r10d, 8: the size of a set of signals
  const block = [
    ...[0x31, 0xff], // xor edi, edi: SIG_BLOCK
    ...[0xbe, ...word(everySignal)], // mov esi, everySignal
    ...[0x31, 0xd2], // xor edx, edx: the old set is nobody's
    ...setBytes,
    ...call(syscall.rt_sigprocmask),
  ];
  const wait = [
    ...[0xbf, ...word(endingSignals)], // mov edi, endingSignals
    ...[0x31, 0xf6], // xor esi, esi: what is known of it is nobody's
    ...[0x31, 0xd2], // xor edx, edx: for as long as it takes
    ...setBytes,
    ...call(syscall.rt_sigtimedwait),
    ...[0x85, 0xc0], // test eax, eax
  ];
  const again = [0x7e, back(wait.length + 2)]; // jle wait: it was interrupted
  const everybody = [0x48, 0xc7, 0xc7, ...word(-1)]; // mov rdi, -1
  const end = [
    ...everybody,
    ...[0xbe, ...word(sigterm)], // mov esi, SIGTERM
    ...call(syscall.kill),
  ];
  const look = [
    ...everybody,
    ...[0x31, 0xf6], // xor esi, esi: nothing is sent
    ...call(syscall.kill),
    ...[0x83, 0xf8, nobody & 0xff], // cmp eax, -ESRCH
  ];
  const rest = [
    ...[0xbf, ...word(endingSignals)], // mov edi, endingSignals: one more of them is taken and changes nothing
    ...[0x31, 0xf6], // xor esi, esi
    ...[0xba, ...word(shortPause)], // mov edx, shortPause
    ...setBytes,
    ...call(syscall.rt_sigtimedwait),
  ];
  const leave = [0x74, rest.length + 2]; // je exit, behind the jump back
  const lookAgain = [0xeb, back(look.length + leave.length + rest.length + 2)]; // jmp look
  const exit = [
    ...[0x31, 0xff], // xor edi, edi: 0
    ...call(syscall.exit_group),
  ];
  return Buffer.from([...block, ...wait, ...again, ...end, ...look, ...leave, ...rest, ...lookAgain, ...exit]);
}

/** A short jump backwards over so many bytes, its own among them. */
function back(bytes: number): number {
  return 0x1_00 - bytes;
}

/** A number of 32 bits in the order of the machine. */
function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);
}

function arm64(): Buffer {
  const syscall = { rt_sigprocmask: 135, rt_sigtimedwait: 137, kill: 129, exit_group: 94 };
  const low = (register: number, value: number) => 0xd280_0000 + (value & 0xffff) * 0x20 + register; // movz x<register>, #value
  const high = (register: number, value: number) => 0xf2a0_0000 + (value >>> 16) * 0x20 + register; // movk x<register>, #value, lsl 16
  const put = (register: number, value: number) => [low(register, value), high(register, value)];
  const call = (number: number) => [low(8, number), 0xd400_0001]; // movz x8, #number; svc #0
  const jump = (instruction: number, words: number) => instruction + ((words & 0x7_ffff) << 5); // of 19 bits, in words
  const setBytes = low(3, 8); // movz x3, #8: the size of a set of signals
  const everybody = 0x9280_0000; // movn x0, #0: -1
  const block = [
    low(0, 0), // SIG_BLOCK
    ...put(1, everySignal),
    low(2, 0), // the old set is nobody's
    setBytes,
    ...call(syscall.rt_sigprocmask),
  ];
  const wait = [
    ...put(0, endingSignals),
    low(1, 0), // what is known of it is nobody's
    low(2, 0), // for as long as it takes
    setBytes,
    ...call(syscall.rt_sigtimedwait),
    0xf100_001f, // cmp x0, #0
  ];
  const again = jump(0x5400_000d, -wait.length); // b.le wait: it was interrupted
  const end = [everybody, low(1, sigterm), ...call(syscall.kill)];
  const look = [
    everybody,
    low(1, 0), // nothing is sent
    ...call(syscall.kill),
    0xb100_001f + -nobody * 0x400, // cmn x0, #ESRCH
  ];
  const rest = [
    ...put(0, endingSignals), // one more of them is taken and changes nothing
    low(1, 0),
    ...put(2, shortPause),
    setBytes,
    ...call(syscall.rt_sigtimedwait),
  ];
  const leave = jump(0x5400_0000, rest.length + 2); // b.eq exit, behind the jump back
  const lookAgain = 0x1400_0000 + (-(look.length + 1 + rest.length) & 0x3ff_ffff); // b look
  const exit = [low(0, 0), ...call(syscall.exit_group)];
  const words = [...block, ...wait, again, ...end, ...look, leave, ...rest, lookAgain, ...exit];
  const bytes = Buffer.alloc(words.length * 4);
  for (const [index, instruction] of words.entries()) bytes.writeUInt32LE(instruction, index * 4);
  return bytes;
}
