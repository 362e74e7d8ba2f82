// Display filters: Butterworth of second order run forward and backward, as the server's renderer has them
// (ecgout/draw/filter.go): zero phase, −3 dB at the edge for both runs together. They change the picture only.

export interface DisplayFilters {
  highPassHz: number; // 0 is off
  lowPassHz: number;
  notchHz: number;
}

export const OFF: DisplayFilters = { highPassHz: 0, lowPassHz: 0, notchHz: 0 };

export function isOn(f: DisplayFilters): boolean {
  return f.highPassHz > 0 || f.lowPassHz > 0 || f.notchHz > 0;
}

/** Seconds on either side of what is drawn that a filter sees, so that it has settled. */
export function margin(f: DisplayFilters): number {
  if (!isOn(f)) return 0;
  return f.highPassHz > 0 && f.highPassHz < 0.5 ? 20 : 4;
}

/** The filters that a rate allows: an edge beyond 0.45 of it is none. */
export function effective(f: DisplayFilters, rate: number): DisplayFilters {
  const fits = (hz: number) => (hz > 0.45 * rate ? 0 : hz);
  return { highPassHz: f.highPassHz, lowPassHz: fits(f.lowPassHz), notchHz: fits(f.notchHz) };
}

/** As the parameter filter of the server's drawing names them. */
export function paperFilter(f: DisplayFilters): string {
  const list: string[] = [];
  if (f.highPassHz > 0) list.push("hp" + f.highPassHz);
  if (f.lowPassHz > 0) list.push("lp" + f.lowPassHz);
  if (f.notchHz > 0) list.push("notch" + f.notchHz);
  return list.join(",");
}

interface Biquad { b0: number; b1: number; b2: number; a1: number; a2: number }

/** |H|⁴ of a Butterworth whose pole is moved by it is one half at the edge. */
const TWO_RUNS = (Math.SQRT2 - 1) ** 0.25;

function lowPass(hz: number, rate: number): Biquad {
  const k = Math.tan((Math.PI * hz) / rate) / TWO_RUNS;
  const n = 1 / (1 + Math.SQRT2 * k + k * k);
  return { b0: k * k * n, b1: 2 * k * k * n, b2: k * k * n, a1: 2 * (k * k - 1) * n, a2: (1 - Math.SQRT2 * k + k * k) * n };
}

function highPass(hz: number, rate: number): Biquad {
  const k = Math.tan((Math.PI * hz) / rate) * TWO_RUNS;
  const n = 1 / (1 + Math.SQRT2 * k + k * k);
  return { b0: n, b1: -2 * n, b2: n, a1: 2 * (k * k - 1) * n, a2: (1 - Math.SQRT2 * k + k * k) * n };
}

/** 2 Hz wide: mains wander by less, and what is narrower rings for longer after each QRS. */
function notch(hz: number, rate: number): Biquad {
  const w = (2 * Math.PI * hz) / rate;
  const alpha = (Math.sin(w) * 2) / (2 * hz);
  const n = 1 / (1 + alpha);
  return { b0: n, b1: -2 * Math.cos(w) * n, b2: n, a1: -2 * Math.cos(w) * n, a2: (1 - alpha) * n };
}

function run(q: Biquad, v: Float64Array): void {
  let s1 = 0;
  let s2 = 0;
  for (let i = 0; i < v.length; i++) {
    const x = v[i]!;
    const y = q.b0 * x + s1;
    s1 = q.b1 * x - q.a1 * y + s2;
    s2 = q.b2 * x - q.a2 * y;
    v[i] = y;
  }
}

/** Filters v in place. NaNs are missing samples: they stay, and each run between them is filtered by itself. */
export function apply(f: DisplayFilters, v: Float64Array, rate: number): void {
  const e = effective(f, rate);
  const chain: Biquad[] = [];
  if (e.highPassHz > 0) chain.push(highPass(e.highPassHz, rate));
  if (e.notchHz > 0) chain.push(notch(e.notchHz, rate));
  if (e.lowPassHz > 0) chain.push(lowPass(e.lowPassHz, rate));
  if (chain.length === 0) return;
  const pad = Math.trunc(margin(f) * rate);
  for (let from = 0; from < v.length; ) {
    if (Number.isNaN(v[from])) {
      from++;
      continue;
    }
    let to = from;
    while (to < v.length && !Number.isNaN(v[to])) to++;
    zeroPhase(chain, v.subarray(from, to), e.highPassHz > 0, pad);
    from = to;
  }
}

/** Filters one unbroken run in place, continued at each end by point reflection, so that an edge makes no wave. */
function zeroPhase(chain: Biquad[], v: Float64Array, dropsLevel: boolean, most: number): void {
  const n = v.length;
  if (n < 2) return;
  const pad = Math.min(most, 16 * n);
  const w = new Float64Array(n + 2 * pad);
  w.set(v, pad);
  const first = v[0]!;
  const last = v[n - 1]!;
  for (let i = 1; i <= pad; i++) {
    w[pad - i] = 2 * first - v[fold(i, n)]!;
    w[pad + n - 1 + i] = 2 * last - v[n - 1 - fold(i, n)]!;
  }
  let level = w[0]!; // a run that begins far from zero would start with a step
  for (let i = 0; i < w.length; i++) w[i]! -= level;
  for (let pass = 0; pass < 2; pass++) {
    for (const q of chain) run(q, w);
    w.reverse();
    if (!dropsLevel) { // the second run begins at the other end's level
      const back = w[0]!;
      for (let i = 0; i < w.length; i++) w[i]! -= back;
      level += back;
    }
  }
  if (dropsLevel) level = 0;
  for (let i = 0; i < n; i++) v[i] = w[pad + i]! + level;
}

/** Folds an index beyond n samples back into them: 1, 2, … n−1, n−2, … 1, 0, 1, … */
function fold(i: number, n: number): number {
  const period = 2 * (n - 1);
  const j = i % period;
  return j >= n ? period - j : j;
}
