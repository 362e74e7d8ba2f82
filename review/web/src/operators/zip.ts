// ZIP archives, opened in the browser: the node takes one recording in an archive, people have a whole CD in one.
// The directory at the end is read (PKWARE APPNOTE 4.3.12, 4.3.16; ZIP64 4.3.14), and members as they are sent.

export interface Member {
  path: string;
  size: number; // bytes, unpacked
  open(): Promise<Blob>;
}

/** The archive cannot be opened, or a member cannot be unpacked. */
export class BadZip extends Error {}

/** Bounds: members, bytes of the directory, and bytes out for each byte in, as `tributary import` has them. */
const mostMembers = 100_000;
const mostDirectory = 64 << 20;
const mostRatio = 250;
const mostMember = 8 * 2 ** 30;

const crcTable = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

async function view(file: Blob, from: number, to: number): Promise<DataView> {
  return new DataView(await file.slice(Math.max(0, from), to).arrayBuffer());
}

/** A name: UTF-8 where the archive says so or it is; else as Windows in China writes it. */
function nameOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

interface Directory {
  at: number;
  size: number;
  count: number;
}

async function findDirectory(file: Blob): Promise<Directory> {
  const start = Math.max(0, file.size - 65_557); // the end record, with the longest comment
  const end = await view(file, start, file.size);
  for (let i = end.byteLength - 22; i >= 0; i--) {
    if (end.getUint32(i, true) !== 0x06054b50 || i + 22 + end.getUint16(i + 20, true) > end.byteLength) continue;
    const d = { count: end.getUint16(i + 10, true), size: end.getUint32(i + 12, true), at: end.getUint32(i + 16, true) };
    if (d.count !== 0xffff && d.size !== 0xffffffff && d.at !== 0xffffffff) return d;
    const locator = await view(file, start + i - 20, start + i);
    if (locator.byteLength < 20 || locator.getUint32(0, true) !== 0x07064b50) return d;
    const where = Number(locator.getBigUint64(8, true));
    const big = await view(file, where, where + 56);
    if (big.byteLength < 56 || big.getUint32(0, true) !== 0x06064b50) throw new BadZip();
    return { count: Number(big.getBigUint64(32, true)), size: Number(big.getBigUint64(40, true)), at: Number(big.getBigUint64(48, true)) };
  }
  throw new BadZip();
}

/** The files in an archive. Folders are left out. */
export async function openZip(file: Blob): Promise<Member[]> {
  const d = await findDirectory(file);
  if (d.count > mostMembers || d.size > mostDirectory || d.at + d.size > file.size) throw new BadZip();
  const v = await view(file, d.at, d.at + d.size);
  const members: Member[] = [];
  for (let i = 0; i + 46 <= v.byteLength && members.length < d.count; ) {
    if (v.getUint32(i, true) !== 0x02014b50) throw new BadZip();
    const flags = v.getUint16(i + 8, true), method = v.getUint16(i + 10, true), crc = v.getUint32(i + 16, true);
    let packed = v.getUint32(i + 20, true), size = v.getUint32(i + 24, true), at = v.getUint32(i + 42, true);
    const nameLength = v.getUint16(i + 28, true), extraLength = v.getUint16(i + 30, true), next = i + 46 + nameLength + extraLength + v.getUint16(i + 32, true);
    if (next > v.byteLength) throw new BadZip();
    const path = nameOf(new Uint8Array(v.buffer, i + 46, nameLength)).replaceAll("\\", "/");
    for (let x = i + 46 + nameLength, end = x + extraLength; x + 4 <= end; ) {
      const id = v.getUint16(x, true), length = v.getUint16(x + 2, true);
      if (id === 1) { // ZIP64: those that did not fit, in this order
        let y = x + 4;
        const limit = Math.min(end, y + length);
        const long = (short: number) => {
          if (short !== 0xffffffff) return short;
          if (y + 8 > limit) throw new BadZip();
          y += 8;
          return Number(v.getBigUint64(y - 8, true));
        };
        size = long(size);
        packed = long(packed);
        at = long(at);
      }
      x += 4 + length;
    }
    i = next;
    if (path.endsWith("/") || (size === 0 && packed === 0)) continue;
    if (flags & 1 || (method !== 0 && method !== 8) || size > mostMember || size > mostRatio * packed + 1024) throw new BadZip();
    members.push({ path, size, open: () => unpack(file, at, packed, size, method, crc) });
  }
  return members;
}

/** Unpacks a member, and compares its length and its checksum. */
async function unpack(file: Blob, at: number, packed: number, size: number, method: number, crc: number): Promise<Blob> {
  const local = await view(file, at, at + 30);
  if (local.byteLength < 30 || local.getUint32(0, true) !== 0x04034b50) throw new BadZip();
  const from = at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  const data = file.slice(from, from + packed);
  if (data.size !== packed) throw new BadZip();
  let sum = 0xffffffff, length = 0;
  const check = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, to) {
      length += chunk.length;
      if (length > size) throw new BadZip();
      for (const b of chunk) sum = (sum >>> 8) ^ crcTable[(sum ^ b) & 255]!;
      to.enqueue(chunk);
    },
    flush() {
      if (length !== size || (sum ^ 0xffffffff) >>> 0 !== crc) throw new BadZip();
    },
  });
  try {
    const plain = method === 8 ? data.stream().pipeThrough(new DecompressionStream("deflate-raw")) : data.stream();
    return await new Response(plain.pipeThrough(check)).blob();
  } catch {
    throw new BadZip();
  }
}
