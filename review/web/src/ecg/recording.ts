// A recording as /recording and /samples tell it.

export interface Filters {
  high_pass_hz?: string;
  low_pass_hz?: string;
  notch_hz?: string;
  notch_off?: boolean;
  text?: string;
}

export interface Lead {
  name: string;
  unit: string;
  scale: string; // unit per count, exact
  baseline: string;
  start: number; // first sample on the group's time line
  samples: number;
  skew_ms?: string;
  derived: boolean;
  derived_by?: string;
  filters?: Filters;
}

export interface Group {
  kind: "rhythm" | "median" | "full-disclosure" | "other";
  label?: string;
  rate_hz: string;
  start_ms: string;
  samples: number;
  window: number; // samples that one answer has at most
  leads: Lead[];
}

export interface Measurement {
  kind?: string;
  value?: string;
  unit?: string;
  lead?: string;
}

export interface Recording {
  acquired: { at?: string; zone_known: boolean };
  groups: Group[];
  measurements: Measurement[];
  spikes: number;
}

/** The nearest number to an exact one: a decimal, or "numerator/denominator". */
export function exact(text: string | undefined): number {
  if (!text) return 0;
  const slash = text.indexOf("/");
  return slash < 0 ? Number(text) : Number(text.slice(0, slash)) / Number(text.slice(slash + 1));
}

/** A run of a group's samples: counts as stored, [lead][sample]. */
export interface Window {
  from: number;
  count: number;
  counts: (Int16Array | Int32Array)[];
  missing: (Uint8Array | null)[]; // a bit for each sample
}

/** Reads an answer of /samples. It throws when the bytes are not one. */
export function readWindow(body: ArrayBuffer): Window {
  const view = new DataView(body);
  const bad = () => new Error("not a window of samples");
  if (body.byteLength < 24 || magic(view) !== "ECGW") throw bad();
  const leads = view.getUint32(4, true);
  const count = view.getUint32(8, true);
  const width = view.getUint32(12, true);
  const from = Number(view.getBigUint64(16, true));
  const each = Math.ceil((count * width) / 4) * 4;
  let at = 24 + Math.ceil(leads / 4) * 4;
  if ((width !== 2 && width !== 4) || at + leads * each > body.byteLength) throw bad();
  const flags = new Uint8Array(body, 24, leads);
  const counts: Window["counts"] = [];
  for (let i = 0; i < leads; i++, at += each) {
    counts.push(width === 2 ? new Int16Array(body, at, count) : new Int32Array(body, at, count));
  }
  const missing: Window["missing"] = [];
  const bits = Math.ceil(count / 8);
  for (let i = 0; i < leads; i++) {
    if (!flags[i]) {
      missing.push(null);
      continue;
    }
    if (at + bits > body.byteLength) throw bad();
    missing.push(new Uint8Array(body, at, bits));
    at += bits;
  }
  return { from, count, counts, missing };
}

function magic(view: DataView): string {
  return String.fromCharCode(view.getUint8(0), view.getUint8(1), view.getUint8(2), view.getUint8(3));
}

/** The whole of a lead in pieces: least and greatest count of each; a piece without samples has 1 and 0. */
export interface Overview {
  each: number; // samples of a piece
  pieces: Int32Array; // least, greatest, least, …
}

/** Reads an answer of /overview. */
export function readOverview(body: ArrayBuffer): Overview {
  const view = new DataView(body);
  if (body.byteLength < 16 || magic(view) !== "ECGO") throw new Error("not an overview");
  const pieces = view.getUint32(4, true);
  if (16 + 8 * pieces > body.byteLength) throw new Error("not an overview");
  return { each: Number(view.getBigUint64(8, true)), pieces: new Int32Array(body, 16, 2 * pieces) };
}

/** Whether sample i of a window is missing. */
export function isMissing(w: Window, lead: number, i: number): boolean {
  const bits = w.missing[lead];
  return !!bits && ((bits[i >> 3] ?? 0) & (1 << (i & 7))) !== 0;
}
