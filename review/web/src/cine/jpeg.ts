// What a JPEG stream says before its first scan (ISO/IEC 10918-1 §B.2), to know whether a browser shows it as DICOM
// means it.

import type { Module } from "./module";

export interface JPEGHead {
  readonly process: number; // n of the SOFn marker: 0 baseline, 1 extended sequential, 2 progressive, 3 lossless
  readonly precision: number;
  readonly rows: number;
  readonly columns: number;
  readonly components: number;
  readonly jfif: boolean;
  readonly adobe: number; // transform of the Adobe marker; -1 where there is none
}

/** Reads the markers up to the frame header; undefined where there is none. */
export function readJPEGHead(b: Uint8Array): JPEGHead | undefined {
  if (b[0] !== 0xff || b[1] !== 0xd8) return undefined;
  let jfif = false;
  let adobe = -1;
  const starts = (at: number, word: string) => [...word].every((c, i) => b[at + i] === c.charCodeAt(0));
  for (let at = 2; at + 4 <= b.length;) {
    if (b[at] !== 0xff) return undefined;
    const marker = b[at + 1] as number;
    if (marker === 0xff) { // fill byte
      at++;
      continue;
    }
    const length = ((b[at + 2] as number) << 8) | (b[at + 3] as number);
    const end = at + 2 + length;
    if (length < 2 || end > b.length || marker === 0xda || marker === 0xd9) return undefined;
    const body = at + 4;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (end - body < 6) return undefined;
      const pair = (i: number) => ((b[body + i] as number) << 8) | (b[body + i + 1] as number);
      return { process: marker - 0xc0, precision: b[body] as number, rows: pair(1), columns: pair(3), components: b[body + 5] as number, jfif, adobe };
    }
    if (marker === 0xe0 && starts(body, "JFIF\0")) jfif = true;
    if (marker === 0xee && end - body >= 12 && starts(body, "Adobe")) adobe = b[body + 11] as number;
    at = end;
  }
  return undefined;
}

/**
 * Whether a browser's decoder gives the samples that the header means: sequential DCT of 8 bits, in the size of the
 * header, its three components in the colours that the stream's own markers, or else the header, name.
 */
export function browserDecodes(h: JPEGHead, m: Module): boolean {
  if (h.process > 1 || h.precision !== 8 || h.rows !== m.rows || h.columns !== m.columns || h.components !== m.samples) return false;
  if (h.components === 1) return true;
  const ycc = h.adobe >= 0 ? h.adobe !== 0 : h.jfif || m.photometric !== "RGB";
  return h.components === 3 && ycc === (h.adobe !== 0);
}
