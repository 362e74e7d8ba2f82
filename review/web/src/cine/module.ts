// What the header says of the pixels of one frame (PS3.3 §C.7.6.3, §C.11.1, §C.11.2), checked before anything is
// sized by it.

import { type BytesOf, type Element, type Elements, first, integer, item, items, number, text } from "./elements";
import { type Table, type Window, windowFunction } from "./window";

/** Bounds of one frame, as the node itself has them. */
export const maxSamples = 64 << 20;
export const maxFrameBytes = 128 << 20;

/** The longest side that a canvas has. */
export const maxSide = 16384;

/** Pixels that this page does not decode: the node may draw them. */
export class NotHere extends Error {}

export interface Module {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly photometric: string;
  readonly allocated: number;
  readonly stored: number;
  readonly high: number;
  readonly signed: boolean;
  readonly planar: boolean;

  /** The height of a pixel over its width; 1 where nothing is said. */
  readonly aspect: number;

  readonly slope: number;
  readonly intercept: number;
  readonly units: string; // Rescale Type (0028,1054): HU
  readonly modality?: Table;
  readonly windows: readonly Window[];
  readonly voi: readonly Table[];
  readonly inverse: boolean;
  readonly padding?: readonly [number, number]; // of stored values
  readonly palette?: readonly [Table, Table, Table];
}

export function isGrey(m: Module): boolean {
  return m.samples === 1 && m.photometric !== "PALETTE COLOR";
}

/** Bytes of a native frame that is not subsampled. */
export function frameBytes(m: Module): number {
  return Math.ceil((m.rows * m.columns * m.samples * m.allocated) / 8);
}

/** More frames than a file has room for. */
const maxFrames = 1_000_000;

/** Number of Frames (0028,0008), at least 1. */
export function frameCount(header: Elements): number {
  return Math.min(Math.max(1, integer(header, "00280008", 1)), maxFrames);
}

/** Whether frames of an instance differ in more than their pixels. */
export function perFrame(header: Elements): boolean {
  return (header["52009230"]?.Value?.length ?? 0) > 0;
}

/** Functional groups of a frame, counted from 1: its own and those that all share. */
export function groups(header: Elements, frame: number): [Elements | undefined, Elements | undefined] {
  return [item(header, "52009230", frame - 1), item(header, "52009229", 0)];
}

/** Reads the header for one frame, counted from 1. It throws NotHere for what only the node might draw. */
export async function readModule(header: Elements, frame: number, bytesOf: BytesOf): Promise<Module> {
  const [own, shared] = groups(header, frame);
  const samples = integer(header, "00280002", 1);
  const photometric = text(header, "00280004").toUpperCase();
  const allocated = integer(header, "00280100", 0);
  const stored = integer(header, "00280101", 0) || allocated;
  const high = integer(header, "00280102", stored - 1);
  const signed = integer(header, "00280103", 0) === 1;
  const m = {
    rows: integer(header, "00280010", 0), columns: integer(header, "00280011", 0), samples, photometric, allocated, stored, high, signed,
    planar: integer(header, "00280006", 0) === 1, aspect: aspect(header, own, shared),
    slope: 1, intercept: 0, units: "", windows: [], voi: [], inverse: false,
  };
  check(m, header);
  if (photometric === "PALETTE COLOR") return { ...m, palette: await palette(header, signed, bytesOf) };
  if (samples !== 1) return m;
  return { ...m, ...(await greySteps(header, own, shared, photometric, signed, bytesOf)) };
}

function check(m: Module, header: Elements): void {
  const grey = ["MONOCHROME1", "MONOCHROME2", ""].includes(m.photometric);
  const colour = ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"].includes(m.photometric);
  const fits = m.samples === 1 && (grey || m.photometric === "PALETTE COLOR") || m.samples === 3 && colour && m.allocated >= 8;
  const ok = fits && !header["7FE00008"] && !header["7FE00009"] && [1, 8, 16].includes(m.allocated) &&
    m.rows > 0 && m.columns > 0 && m.rows <= maxSide && m.columns <= maxSide && m.rows * m.columns * m.samples <= maxSamples &&
    m.stored >= 1 && m.stored <= m.allocated && m.high >= m.stored - 1 && m.high < m.allocated && frameBytes(m) <= maxFrameBytes;
  if (!ok) throw new NotHere("pixels of this kind are drawn by the node");
}

/** Pixel Aspect Ratio (0028,0034), or the spacing of rows and columns, as package render takes them. */
function aspect(header: Elements, own: Elements | undefined, shared: Elements | undefined): number {
  const measures = [item(own, "00289110", 0), item(shared, "00289110", 0), header];
  for (const [level, tag] of [[header, "00280034"], ...measures.map((l) => [l, "00280030"])] as [Elements | undefined, string][]) {
    const vertical = number(level, tag, 0);
    const horizontal = number(level, tag, 1);
    if (!vertical || !horizontal || vertical < 0 || horizontal < 0) continue;
    const ratio = vertical / horizontal;
    return ratio > 1 / 16 && ratio < 16 && Math.abs(ratio - 1) > 0.01 ? ratio : 1; // spacings have a few digits
  }
  return 1;
}

/** Steps from stored values to grey: those of the frame before the shared ones before those of the image. */
async function greySteps(header: Elements, own: Elements | undefined, shared: Elements | undefined, photometric: string, signed: boolean, bytesOf: BytesOf) {
  const transform = first(item(own, "00289145", 0), item(shared, "00289145", 0), header);
  const voi = first(item(own, "00289132", 0), item(shared, "00289132", 0), header);
  const windows: Window[] = [];
  for (let i = 0; i < Math.min(voi?.["00281050"]?.Value?.length ?? 0, 32); i++) {
    const center = number(voi, "00281050", i);
    const width = number(voi, "00281051", i);
    if (center !== undefined && width !== undefined && width > 0) {
      windows.push({ center, width, fn: windowFunction(text(voi, "00281056").toUpperCase()), name: text(voi, "00281055", i) });
    }
  }
  const tables: Table[] = [];
  for (const one of items(header, "00283010").slice(0, 16)) {
    const t = await table(one, signed, bytesOf);
    if (t) tables.push(t);
  }
  const modality = await table(item(header, "00283000", 0), signed, bytesOf);
  const low = number(header, "00280120");
  const far = number(header, "00280121") ?? low;
  return {
    slope: number(transform, "00281053") || 1, intercept: number(transform, "00281052") ?? 0, units: text(transform, "00281054"),
    ...(modality ? { modality } : {}), windows, voi: tables,
    inverse: photometric === "MONOCHROME1" || text(header, "20500020").toUpperCase() === "INVERSE",
    ...(low !== undefined && far !== undefined ? { padding: [Math.min(low, far), Math.max(low, far)] as const } : {}),
  };
}

function impossible(): never {
  throw new NotHere("a lookup table is impossible");
}

interface Descriptor { count: number; first: number; bits: number }

function descriptor(d: Elements, tag: string, signed: boolean): Descriptor {
  const n = number(d, tag, 0);
  let from = number(d, tag, 1);
  const bits = number(d, tag, 2);
  if (n === undefined || from === undefined || bits === undefined) return impossible();
  const count = (n < 0 ? n & 0xffff : n) || 1 << 16;
  if (signed && from >= 1 << 15) from -= 1 << 16;
  if (!(count <= 1 << 16) || from < -(1 << 15) || from >= 1 << 16 || bits < 8 || bits > 16) return impossible();
  return { count, first: from, bits };
}

/** The item of a Modality or VOI LUT Sequence; undefined for none. */
async function table(one: Elements | undefined, signed: boolean, bytesOf: BytesOf): Promise<Table | undefined> {
  const data = one?.["00283006"];
  if (!one || !data || !data.Value?.length && !data.InlineBinary && !data.BulkDataURI) return undefined;
  const d = descriptor(one, "00283002", signed);
  const entries = await lutData(data, d.count, bytesOf);
  let bits = d.bits;
  for (const v of entries) while (bits < 16 && v >= 1 << bits) bits++; // some devices say 8 and mean 16
  return { first: d.first, bits, entries, name: text(one, "00283003") };
}

async function lutData(e: Element, count: number, bytesOf: BytesOf): Promise<Uint16Array> {
  const out = new Uint16Array(count);
  if (e.Value?.length) {
    if (e.Value.length < count) return impossible();
    for (let i = 0; i < count; i++) out[i] = number({ v: e }, "v", i) ?? impossible();
    return out;
  }
  const b = await bytesOf(e);
  if (b.length >= 2 * count) {
    for (let i = 0; i < count; i++) out[i] = word(b, i);
  } else if (b.length === count || b.length === count + (count % 2)) {
    out.set(b.subarray(0, count)); // bytes, PS3.3 §C.7.6.3.1.5
  } else {
    return impossible();
  }
  return out;
}

function word(b: Uint8Array, i: number): number {
  return (b[2 * i] ?? 0) | ((b[2 * i + 1] ?? 0) << 8);
}

/** The three tables of PALETTE COLOR, plain or segmented (PS3.3 §C.7.6.3.1.5, §C.7.9). */
async function palette(header: Elements, signed: boolean, bytesOf: BytesOf): Promise<[Table, Table, Table]> {
  const read = async (k: number): Promise<Table> => {
    const d = descriptor(header, `0028110${k}`, signed);
    const plain = header[`0028120${k}`];
    const parts = header[`0028122${k}`];
    if (plain) return { first: d.first, bits: d.bits, entries: await lutData(plain, d.count, bytesOf) };
    if (!parts) return impossible();
    return { first: d.first, bits: d.bits, entries: segmented(await segmentWords(parts, d.bits, bytesOf), d.count) };
  };
  const three = [await read(1), await read(2), await read(3)] as const;
  // Some devices say 16 bits and write 8, or the other way round.
  const all8 = three.every((t) => t.entries.every((v) => v < 256));
  const bits = (t: Table) => (all8 ? 8 : t.bits <= 8 ? 16 : t.bits);
  return three.map((t) => ({ ...t, bits: bits(t) })) as [Table, Table, Table];
}

async function segmentWords(e: Element, bits: number, bytesOf: BytesOf): Promise<number[]> {
  if (e.Value?.length) return e.Value.map(Number);
  const b = await bytesOf(e);
  if (bits <= 8 && e.vr === "OB") return [...b];
  return Array.from({ length: b.length >> 1 }, (_, i) => word(b, i));
}

/** Expands a segmented palette: discrete runs, straight lines, and repetitions of earlier segments (PS3.3 §C.7.9.2). */
export function segmented(words: readonly number[], count: number): Uint16Array {
  const out = new Uint16Array(count);
  let length = 0;
  const expand = (at: number, indirect: boolean): number => {
    const op = words[at];
    const n = words[at + 1];
    if (op === undefined || n === undefined) return impossible();
    at += 2;
    if (op === 0 && at + n <= words.length && length + n <= count) {
      for (let i = 0; i < n; i++) out[length++] = words[at + i] ?? 0;
      return at + n;
    }
    if (op === 1 && at < words.length && length > 0 && length + n <= count) {
      const from = out[length - 1] ?? 0;
      const to = words[at] ?? 0;
      for (let i = 1; i <= n; i++) out[length++] = Math.floor(from + ((to - from) * i) / n + 0.5);
      return at + 1;
    }
    if (op !== 2 || !indirect || at + 2 > words.length) return impossible();
    let from = (words[at] ?? 0) + (words[at + 1] ?? 0) * 65536;
    for (let i = 0; i < n; i++) {
      const before = length;
      if (from >= at - 2) return impossible();
      from = expand(from, false);
      if (length === before) return impossible(); // an empty segment repeated has no end
    }
    return at + 2;
  };
  for (let at = 0; at < words.length && length < count;) at = expand(at, true);
  return length === count ? out : impossible();
}
