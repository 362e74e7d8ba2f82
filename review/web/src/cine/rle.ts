// RLE Lossless (PS3.5 Annex G).

/** A frame whose bytes do not fit its header. */
export class Broken extends Error {}

const headerBytes = 64;

/**
 * Decodes one frame to color-by-plane little endian samples of width bytes. A frame has one segment for each byte of
 * each sample, the most significant first; a segment must fill its plane.
 */
export function decodeRLE(frame: Uint8Array, pixels: number, samples: number, width: number): Uint8Array<ArrayBuffer> {
  if (frame.length < headerBytes) throw new Broken("an RLE frame without a header");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const count = view.getUint32(0, true);
  if (count !== samples * width) throw new Broken("an RLE frame with another number of segments");
  const out = new Uint8Array(pixels * samples * width);
  for (let s = 0; s < count; s++) {
    const from = view.getUint32(4 + 4 * s, true);
    const to = s + 1 < count ? view.getUint32(8 + 4 * s, true) : frame.length;
    if (from < headerBytes || to < from || to > frame.length) throw new Broken("an RLE segment outside of its frame");
    const sample = Math.floor(s / width);
    const start = sample * pixels * width + width - 1 - (s % width);
    if (!unpack(out, start, width, pixels, frame, from, to)) throw new Broken("an RLE segment that ends before its pixels do");
  }
  return out;
}

/** Fills every stride-th byte of dst from start on, n in all (PS3.5 §G.3.2). What a segment has beyond them is padding. */
function unpack(dst: Uint8Array, start: number, stride: number, n: number, src: Uint8Array, from: number, to: number): boolean {
  let at = 0;
  let p = start;
  while (at < n && from < to) {
    const op = src[from++] as number;
    if (op < 128) {
      const run = Math.min(op + 1, n - at);
      if (from + run > to) return false;
      if (stride === 1) dst.set(src.subarray(from, from + run), p);
      else for (let i = 0; i < run; i++) dst[p + i * stride] = src[from + i] as number;
      at += run;
      p += run * stride;
      from = Math.min(from + op + 1, to);
    } else if (op > 128) {
      if (from >= to) return false;
      const run = Math.min(257 - op, n - at);
      const v = src[from++] as number;
      if (stride === 1) dst.fill(v, p, p + run);
      else for (let i = 0; i < run; i++) dst[p + i * stride] = v;
      at += run;
      p += run * stride;
    }
  }
  return at === n;
}
