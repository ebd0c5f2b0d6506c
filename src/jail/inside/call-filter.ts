/**
 * Duty: forbids the few calls of the kernel that no namespace keeps in: typing into the terminal, sockets to the hypervisor, the
 *   keys of the user's session.
 * In → Out: nothing → whether this process and all that come of it are filtered.
 * Holds: programs of another architecture (32 bit) do not run, for their calls have other numbers. Where Node has no `node:ffi`
 *   (before 26.1), or on a processor that is not in the table, there is no filter, and the caller is told.
 * Source: seccomp(2), ioctl_tty(2) (TIOCSTI, TIOCLINUX), vsock(7), keyrings(7); linux/audit.h, asm/unistd.h for the numbers.
 */
import { arch } from 'node:os';

interface Numbers {
  readonly audit: number;
  readonly ioctl: number;
  readonly socket: number;
  readonly keys: readonly number[];
  /** Of io_uring, which would make sockets past this filter. */
  readonly ring: number;
}

const NUMBERS: Readonly<Record<string, Numbers>> = {
  x64: { audit: 0xc000_003e, ioctl: 16, socket: 41, keys: [248, 249, 250], ring: 425 },
  arm64: { audit: 0xc000_00b7, ioctl: 29, socket: 198, keys: [217, 218, 219], ring: 425 },
};

/** From here on numbers of x32 begin. */
const FOREIGN_CALLS = 0x4000_0000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const AF_VSOCK = 40;
const AF_QIPCRTR = 42;
const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const LOAD = 0x20;
const IF_EQUAL = 0x15;
const IF_AT_LEAST = 0x35;
const RETURN = 0x06;
const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
/** Offsets in `struct seccomp_data`: the number, the architecture, the lower halves of the first two arguments. */
const [NUMBER, AUDIT, FIRST, SECOND] = [0, 4, 16, 24];

const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2n;

type Step = readonly [code: number, whenTrue: number, whenFalse: number, value: number];

/** Null where the numbers are not known. */
export function filterProgram(processor: string): Uint8Array | null {
  const numbers = NUMBERS[processor];
  if (numbers === undefined) return null;
  const fail = (errno: number): Step => [RETURN, 0, 0, ERRNO | errno];
  /** Where the value is this one, the next step is taken; otherwise the one after. */
  const ifEqual = (value: number, step: Step): Step[] => [[IF_EQUAL, 0, 1, value], step];
  const onCall = (call: number, steps: readonly Step[]): Step[] => [[IF_EQUAL, 0, steps.length, call], ...steps];
  const allow: Step = [RETURN, 0, 0, ALLOW];
  const program: Step[] = [
    [LOAD, 0, 0, AUDIT],
    [IF_EQUAL, 1, 0, numbers.audit],
    fail(ENOSYS),
    [LOAD, 0, 0, NUMBER],
    [IF_AT_LEAST, 0, 1, FOREIGN_CALLS],
    fail(ENOSYS),
    ...[...numbers.keys, numbers.ring].flatMap((call) => ifEqual(call, fail(ENOSYS))),
    ...onCall(numbers.ioctl, [
      [LOAD, 0, 0, SECOND],
      ...ifEqual(TIOCSTI, fail(EPERM)),
      ...ifEqual(TIOCLINUX, fail(EPERM)),
      allow,
    ]),
    ...onCall(numbers.socket, [
      [LOAD, 0, 0, FIRST],
      ...ifEqual(AF_VSOCK, fail(EAFNOSUPPORT)),
      ...ifEqual(AF_QIPCRTR, fail(EAFNOSUPPORT)),
      allow,
    ]),
    allow,
  ];
  const bytes = new DataView(new ArrayBuffer(8 * program.length));
  for (const [i, [code, whenTrue, whenFalse, value]] of program.entries()) {
    bytes.setUint16(8 * i, code, true);
    bytes.setUint8(8 * i + 2, whenTrue);
    bytes.setUint8(8 * i + 3, whenFalse);
    bytes.setUint32(8 * i + 4, value, true);
  }
  return new Uint8Array(bytes.buffer);
}

/** Of the calling thread, and of what it executes. */
export async function filterCalls(): Promise<boolean> {
  const program = filterProgram(arch());
  if (program === null) return false;
  try {
    const { dlopen, getRawPointer } = await import('node:ffi');
    const { functions } = dlopen(null, {
      prctl: { arguments: ['i32', 'u64', 'buffer', 'u64', 'u64'], return: 'i32' },
    });
    // `struct sock_fprog`: the number of steps, and where they are.
    const described = new DataView(new ArrayBuffer(16));
    described.setUint16(0, program.length / 8, true);
    described.setBigUint64(8, getRawPointer(program), true);
    return functions.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, new Uint8Array(described.buffer), 0n, 0n) === 0;
  } catch {
    return false;
  }
}
