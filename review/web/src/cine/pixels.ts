// Stored samples to grey and colour, as package render does it (PS3.3 §C.7.6.3.1.2).

import { frameBytes, isGrey, type Module, NotHere } from "./module";
import { Broken, decodeRLE } from "./rle";
import { brightness, clamp, lookUp, most, type Table, type Window } from "./window";

/** Stored bits of one sample a pixel, shifted down and masked, sign not yet applied. */
export type Bits = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** Transfer Syntaxes of frames that are decoded here, as they are sent (PS3.5 Annex A). */
export const implicitLittle = "1.2.840.10008.1.2";
export const explicitLittle = "1.2.840.10008.1.2.1";
export const rleLossless = "1.2.840.10008.1.2.5";

/** What a frame holds: stored bits of a grey one, colours of all others. */
export type Samples =
  | { readonly bits: Bits; readonly rgba?: undefined }
  | { readonly bits?: undefined; readonly rgba: Uint8ClampedArray<ArrayBuffer> };

/** Decodes a native or RLE frame as it was sent. */
export function samplesOf(m: Module, syntax: string, data: Uint8Array): Samples {
  let planar = m.planar;
  if (syntax === rleLossless) {
    const n = m.rows * m.columns;
    data = m.allocated < 8 ? decodeRLE(data, Math.ceil(n / 8), 1, 1) : decodeRLE(data, n, m.samples, m.allocated / 8);
    planar = true;
  } else if (syntax !== explicitLittle && syntax !== implicitLittle) {
    throw new NotHere("another syntax than asked for");
  }
  if (isGrey(m)) return { bits: bitsOf(m, data) };
  return { rgba: m.samples === 3 ? colour(m, data, planar) : paletted(m, bitsOf(m, data)) };
}

/** The stored bits of a frame of one sample. data is little endian. */
export function bitsOf(m: Module, data: Uint8Array): Bits {
  const n = m.rows * m.columns;
  need(m, data);
  const shift = m.high + 1 - m.stored;
  const mask = 2 ** m.stored - 1;
  if (m.allocated === 1) {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = ((data[i >> 3] as number) >> (i & 7)) & 1;
    return out;
  }
  if (m.allocated === 8) {
    const out = data.slice(0, n) as Uint8Array<ArrayBuffer>;
    if (m.stored < 8) for (let i = 0; i < n; i++) out[i] = ((out[i] as number) >> shift) & mask;
    return out;
  }
  const out = new Uint16Array(n);
  for (let i = 0; i < n; i++) out[i] = (((data[2 * i] as number) | ((data[2 * i + 1] as number) << 8)) >> shift) & mask;
  return out;
}

function need(m: Module, data: Uint8Array): void {
  if (data.length < frameBytes(m)) throw new Broken("a frame that is shorter than its rows and columns");
}

/** The value of stored bits, with their sign. */
export function storedValue(m: Module, bits: number): number {
  return m.signed && bits >= 2 ** (m.stored - 1) ? bits - 2 ** m.stored : bits;
}

/** Stored bits after the Modality LUT. */
export function value(m: Module, bits: number): number {
  const s = storedValue(m, bits);
  return m.modality ? lookUp(m.modality, s) : s * m.slope + m.intercept;
}

function isPadding(m: Module, bits: number): boolean {
  if (!m.padding) return false;
  const s = storedValue(m, bits);
  return s >= m.padding[0] && s <= m.padding[1];
}

/** What maps values to brightness: a window, or a VOI LUT. */
export type VOI = Window | Table;

export function isTable(v: VOI): v is Table {
  return "entries" in v;
}

/** What the image itself asks for: its first window, its first VOI LUT, or else all values that bits has. */
export function ownVOI(m: Module, bits: Bits): VOI {
  return m.windows[0] ?? m.voi[0] ?? fullWindow(m, bits);
}

/** The window from the least to the greatest value of a frame, padding apart; of 8 bits that may be stored. */
export function fullWindow(m: Module, bits: Bits): Window {
  let low = Infinity;
  let high = -Infinity;
  const take = (v: number) => {
    const x = value(m, v);
    low = Math.min(low, x);
    high = Math.max(high, x);
  };
  if (m.stored <= 8 && !m.modality) {
    take(m.signed ? 2 ** (m.stored - 1) : 0);
    take(m.signed ? 2 ** (m.stored - 1) - 1 : 2 ** m.stored - 1);
  } else {
    const used = new Uint8Array(2 ** m.stored);
    for (let i = 0; i < bits.length; i++) used[bits[i] as number] = 1;
    for (let v = 0; v < used.length; v++) if (used[v] && !isPadding(m, v)) take(v);
  }
  if (!(high > low)) return { center: Number.isFinite(low) ? low + 0.5 : 0.5, width: 1, fn: "LINEAR_EXACT" };
  return { center: (low + high) / 2, width: high - low, fn: "LINEAR_EXACT" };
}

/** The grey of each stored value. */
export function shades(m: Module, voi: VOI, invert: boolean): Uint8Array {
  const out = new Uint8Array(2 ** m.stored);
  const turned = m.inverse !== invert;
  for (let v = 0; v < out.length; v++) {
    if (isPadding(m, v)) continue; // black, inverse or not: there is no image
    const x = value(m, v);
    const b = isTable(voi) ? lookUp(voi, Math.max(-(2 ** 17), Math.min(x, 2 ** 17))) / most(voi) : brightness(voi, x);
    const grey = Math.floor(255 * clamp(b) + 0.5);
    out[v] = turned ? 255 - grey : grey;
  }
  return out;
}

/** Paints grey into RGBA pixels. */
export function paintGrey(bits: Bits, shade: Uint8Array, to: Uint8ClampedArray): void {
  const word = new Uint32Array(shade.length);
  for (let v = 0; v < shade.length; v++) word[v] = 0xff000000 | ((shade[v] as number) * 0x010101);
  const out = new Uint32Array(to.buffer, to.byteOffset, bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = word[bits[i] as number] as number;
}

/** RGBA of a frame of three samples; data are color-by-pixel or, with planar, color-by-plane. */
export function colour(m: Module, data: Uint8Array, planar: boolean): Uint8ClampedArray<ArrayBuffer> {
  if ((m.photometric === "YBR_FULL_422" || m.photometric === "YBR_PARTIAL_422") && data.length < frameBytes(m)) {
    data = spread(m, data);
    planar = false;
  }
  need(m, data);
  const n = m.rows * m.columns;
  const step = planar ? 1 : 3;
  const next = planar ? n : 1;
  const out = new Uint8ClampedArray(4 * n);
  if (m.photometric === "RGB" && m.allocated === 8 && m.stored === 8) {
    const words = new Uint32Array(out.buffer);
    for (let i = 0, p = 0; i < n; i++, p += step) {
      words[i] = 0xff000000 | ((data[p + 2 * next] as number) << 16) | ((data[p + next] as number) << 8) | (data[p] as number);
    }
    return out;
  }
  const plain = m.allocated === 8 && m.stored === 8;
  const at = (i: number) => (plain ? (data[i] as number) : sample8(m, data, i));
  // Decoders of the reversible and irreversible transforms give RGB.
  const ybr = m.photometric.startsWith("YBR_") && m.photometric !== "YBR_ICT" && m.photometric !== "YBR_RCT";
  const partial = m.photometric.startsWith("YBR_PARTIAL");
  for (let i = 0, p = 0; i < n; i++, p += 4) {
    let a = at(i * step);
    let b = at(i * step + next);
    let c = at(i * step + 2 * next);
    if (partial) {
      a = Math.floor(255 * clamp((a - 16) / 219) + 0.5);
      b = Math.floor(255 * clamp((b - 128) / 224 + 0.5) + 0.5);
      c = Math.floor(255 * clamp((c - 128) / 224 + 0.5) + 0.5);
    }
    if (ybr) {
      const y = a * 0x10101;
      b -= 128;
      c -= 128;
      out[p] = (y + 91881 * c) >> 16;
      out[p + 1] = (y - 22554 * b - 46802 * c) >> 16;
      out[p + 2] = (y + 116130 * b) >> 16;
    } else {
      out[p] = a;
      out[p + 1] = b;
      out[p + 2] = c;
    }
    out[p + 3] = 255;
  }
  return out;
}

/** The eight most significant stored bits of sample i. */
function sample8(m: Module, data: Uint8Array, i: number): number {
  let v = m.allocated === 8 ? (data[i] as number) : (data[2 * i] as number) | ((data[2 * i + 1] as number) << 8);
  v = (v >> (m.high + 1 - m.stored)) & (2 ** m.stored - 1);
  return m.stored >= 8 ? v >> (m.stored - 8) : Math.floor((v * 255) / (2 ** m.stored - 1));
}

/** Native 4:2:2, two luminances and their two colour differences, as color-by-pixel. */
function spread(m: Module, data: Uint8Array): Uint8Array {
  const pairs = (m.columns + 1) >> 1;
  if (m.allocated !== 8 || data.length < m.rows * pairs * 4) throw new Broken("a 4:2:2 frame that is shorter than its rows and columns");
  const out = new Uint8Array(m.rows * m.columns * 3);
  let p = 0;
  for (let y = 0; y < m.rows; y++) {
    for (let x = 0; x < m.columns; x++) {
      const pair = (y * pairs + (x >> 1)) * 4;
      out[p++] = data[pair + (x & 1)] as number;
      out[p++] = data[pair + 2] as number;
      out[p++] = data[pair + 3] as number;
    }
  }
  return out;
}

/** RGBA of a PALETTE COLOR frame. */
export function paletted(m: Module, bits: Bits): Uint8ClampedArray<ArrayBuffer> {
  const word = new Uint32Array(2 ** m.stored);
  const [red, green, blue] = m.palette ?? [];
  if (!red || !green || !blue) throw new Broken("a palette is missing");
  const at = (t: Table, v: number) => lookUp(t, storedValue(m, v)) >> (t.bits - 8);
  for (let v = 0; v < word.length; v++) word[v] = 0xff000000 | (at(blue, v) << 16) | (at(green, v) << 8) | at(red, v);
  const out = new Uint8ClampedArray(4 * bits.length);
  const words = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) words[i] = word[bits[i] as number] as number;
  return out;
}
