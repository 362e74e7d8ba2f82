// What calipers read. Times in seconds on the recording's time line, voltages in mV.

export interface Point {
  t: number;
  mv: number;
}

export interface Reading {
  ms: number; // never negative
  bpm: number | null; // null where both stand at one time
  mv: number; // the second minus the first
}

/** What two cursors read. */
export function measure(a: Point, b: Point): Reading {
  const ms = Math.abs(b.t - a.t) * 1000;
  return { ms, bpm: ms > 0 ? 60000 / ms : null, mv: b.mv - a.mv };
}

/** A reading in words: "812 ms · 73.9 bpm · +1.02 mV", small voltages in µV. */
export function describe(r: Reading): string {
  const parts = [Number(r.ms.toFixed(1)) + " ms"];
  if (r.bpm !== null) parts.push(r.bpm.toFixed(r.bpm < 100 ? 1 : 0) + " bpm");
  parts.push(voltage(r.mv, true));
  return parts.join(" · ");
}

/** A voltage: in µV below 0.1 mV. */
export function voltage(mv: number, signed = false): string {
  const micro = Math.abs(mv) < 0.0995;
  const n = micro ? Math.round(mv * 1000) : Number(mv.toFixed(2));
  const sign = n < 0 ? "−" : signed && n > 0 ? "+" : "";
  return sign + Math.abs(n) + (micro ? " µV" : " mV");
}

/**
 * Times at which a caliper marches out: its interval again and again, from its first cursor in both directions, within
 * [from, to]. Its own two cursors are not among them. An interval of fewer than a hundredth of what is seen marches nowhere.
 */
export function march(a: number, b: number, from: number, to: number): number[] {
  const step = Math.abs(b - a);
  if (!(step > (to - from) / 100)) return [];
  const first = Math.min(a, b);
  const out: number[] = [];
  for (let k = Math.ceil((from - first) / step - 1e-9); first + k * step <= to + 1e-9; k++) {
    if (k !== 0 && k !== 1) out.push(first + k * step);
  }
  return out;
}

/** A drawn stretch of a lead: samples as they are drawn, NaN where missing. */
export interface Series {
  t0: number; // s of the first sample
  rate: number; // Hz
  mv: Float64Array;
}

/** The trace at a time: of the nearest sample, null where it is missing. */
export function valueAt(series: Series[], t: number): Point | null {
  for (const s of series) {
    const i = Math.round((t - s.t0) * s.rate);
    const mv = s.mv[i];
    if (mv !== undefined && !Number.isNaN(mv)) return { t: s.t0 + i / s.rate, mv };
  }
  return null;
}

/** How far snapping looks, s. */
export const SNAP_S = 0.06;

/**
 * The turning point near a time: of the samples within SNAP_S the one that is farthest from the line between both ends
 * of that stretch. Where the trace is level that is the nearest sample.
 */
export function snap(series: Series[], t: number): Point | null {
  for (const s of series) {
    const at = Math.round((t - s.t0) * s.rate);
    const reach = Math.max(1, Math.round(SNAP_S * s.rate));
    const from = Math.max(0, at - reach);
    const to = Math.min(s.mv.length - 1, at + reach);
    if (at < 0 || at >= s.mv.length || to <= from) continue;
    const left = s.mv[from]!;
    const right = s.mv[to]!;
    let best = -1;
    let far = 0.02; // mV: less is noise
    for (let i = from; i <= to; i++) {
      const d = Math.abs(s.mv[i]! - (left + ((right - left) * (i - from)) / (to - from)));
      if (d > far) {
        far = d;
        best = i;
      }
    }
    if (best >= 0) return { t: s.t0 + best / s.rate, mv: s.mv[best]! };
  }
  return valueAt(series, t);
}
