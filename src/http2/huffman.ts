/**
 * Duty: strings in HPACK's Huffman code.
 * In → Out: bytes → text, or null where they are no such code.
 * Holds: padding is shorter than a byte and all ones; the end-of-string symbol never stands in a string.
 * Source: RFC 7541 §5.2 and appendix B. The code is canonical, so that the lengths alone say which bits a symbol has.
 * Not here: writing it. What we write is short-lived, and a secret in it would have two spellings.
 */

/** Bits of each symbol from 0 to 256, in base 36. */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f5656566657766' +
  '6567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqq' +
  'srrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';
const END_OF_STRING = 256;
const ROOT_BITS = 8;
/** No entry here. */
const NONE = 0;

/**
 * Walks a nibble at a time: `(state << 4 | nibble)` → next state, and up to one symbol. States are the inner nodes of the tree.
 * An entry is `state << 10 | hasSymbol << 9 | symbol`; -1: no such code.
 */
const { steps, isAccepting } = build();

/** Null where the bits are no code, or the padding is none. */
export function decodeHuffman(bytes: Buffer, start: number, end: number, into: Buffer): string | null {
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    let step = steps[(state << 4) | (byte >> 4)] as number;
    if (step === -1) return null;
    if ((step & 0x200) !== 0) into[length++] = step & 0xff;
    step = steps[((step >> 10) << 4) | (byte & 0xf)] as number;
    if (step === -1) return null;
    if ((step & 0x200) !== 0) into[length++] = step & 0xff;
    state = step >> 10;
  }
  return isAccepting[state] === 1 ? into.toString('latin1', 0, length) : null;
}

/** The shortest symbol has five bits, so that no nibble ends two. */
function build(): { steps: Int32Array; isAccepting: Uint8Array } {
  const tree = canonicalTree();
  const { children } = tree;
  const count = children.length / 2;
  const made = new Int32Array(count * 16).fill(-1);
  for (let node = 0; node < count; node++) {
    for (let nibble = 0; nibble < 16; nibble++) made[(node << 4) | nibble] = walk(children, node, nibble);
  }
  return { steps: made, isAccepting: paddingNodes(children, count) };
}

function walk(children: readonly number[], from: number, nibble: number): number {
  let node = from;
  let symbol = -1;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node * 2 + ((nibble >> bit) & 1)] ?? NONE;
    if (next >= 0 && next !== NONE) {
      node = next;
      continue;
    }
    symbol = -next - 1;
    if (next === NONE || symbol === END_OF_STRING) return -1;
    node = 0;
  }
  return symbol === -1 ? node << 10 : (node << 10) | 0x200 | symbol;
}

/** Where a string may end: the root, and what fewer than eight ones lead to. */
function paddingNodes(children: readonly number[], count: number): Uint8Array {
  const accepting = new Uint8Array(count);
  let node = 0;
  for (let ones = 0; ones < ROOT_BITS && node >= 0; ones++) {
    accepting[node] = 1;
    node = children[node * 2 + 1] ?? -1;
  }
  return accepting;
}

/** Two entries a node: another node, or `-1 - symbol`. */
function canonicalTree(): { readonly children: number[] } {
  const symbols = [...LENGTHS].map((digit, symbol) => ({ symbol, bits: Number.parseInt(digit, 36) }));
  symbols.sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  const children: number[] = [NONE, NONE];
  let code = 0;
  let bits = 0;
  for (const each of symbols) {
    code = code * 2 ** (each.bits - bits);
    bits = each.bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const at = node * 2 + (Math.floor(code / 2 ** bit) % 2);
      if ((children[at] ?? NONE) === NONE) {
        children[at] = children.length / 2;
        children.push(NONE, NONE);
      }
      node = children[at] as number;
    }
    children[node * 2 + (code % 2)] = -1 - each.symbol;
    code += 1;
  }
  return { children };
}
