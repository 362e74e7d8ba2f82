// How values become grey: windows and lookup tables (PS3.3 §C.11.1, §C.11.2). The same steps as package render.

export type WindowFunction = "LINEAR" | "LINEAR_EXACT" | "SIGMOID";

/** Centre and width of the values that are shown, after the Modality LUT. */
export interface Window {
  readonly center: number;
  readonly width: number;
  readonly fn: WindowFunction;
  readonly name?: string; // Window Center & Width Explanation (0028,1055)
}

/** A lookup table (PS3.3 §C.11.1.1.1): entry 0 is for first and all below it, the last entry for all above. */
export interface Table {
  readonly first: number;
  readonly bits: number; // of an entry, 8 to 16
  readonly entries: Uint16Array;
  readonly name?: string; // LUT Explanation (0028,3003)
}

export function windowFunction(s: string): WindowFunction {
  return s === "LINEAR_EXACT" || s === "SIGMOID" ? s : "LINEAR";
}

/** Keeps v within 0 and 1; NaN is 0. */
export function clamp(v: number): number {
  return v >= 1 ? 1 : v > 0 ? v : 0;
}

/** The brightness of a value in a window, 0 to 1 (PS3.3 §C.11.2.1.2, §C.11.2.1.3). */
export function brightness(w: Window, x: number): number {
  if (w.fn === "SIGMOID") return 1 / (1 + Math.exp((-4 * (x - w.center)) / w.width));
  if (w.fn === "LINEAR_EXACT") return clamp((x - w.center) / w.width + 0.5);
  const width = Math.max(w.width, 1); // LINEAR has no narrower one
  const half = (width - 1) / 2;
  if (x <= w.center - 0.5 - half) return 0;
  if (x > w.center - 0.5 + half) return 1;
  return clamp((x - (w.center - 0.5)) / (width - 1) + 0.5);
}

/** The entry of a table for a value. */
export function lookUp(t: Table, value: number): number {
  const i = Math.min(Math.max(Math.round(value) - t.first, 0), t.entries.length - 1);
  return t.entries[i] ?? 0;
}

/** The greatest value that an entry can have. */
export function most(t: Table): number {
  return 2 ** t.bits - 1;
}
