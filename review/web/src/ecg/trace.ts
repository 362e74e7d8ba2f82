// From samples to a line on paper.

/** A line that is being thinned: of each column the first, least, greatest and last point, in the order of time. */
export class Thinner {
  readonly lines: number[][] = []; // x, y, x, y, …
  private line: number[] = [];
  private points: [number, number][] = [];
  private column = 0;

  constructor(private readonly perUnit: number) {} // columns of one unit of x

  add(x: number, y: number): void {
    const column = Math.floor(x * this.perUnit);
    if (this.points.length > 0 && column !== this.column) this.flush();
    this.column = column;
    this.points.push([x, y]);
  }

  /** Ends the line: the next point begins another. */
  lift(): void {
    this.flush();
    if (this.line.length > 0) this.lines.push(this.line);
    this.line = [];
  }

  private flush(): void {
    const p = this.points;
    if (p.length === 0) return;
    let low = 0;
    let high = 0;
    for (let i = 1; i < p.length; i++) {
      if (p[i]![1] < p[low]![1]) low = i;
      if (p[i]![1] > p[high]![1]) high = i;
    }
    for (const i of [...new Set([0, Math.min(low, high), Math.max(low, high), p.length - 1])].sort((a, b) => a - b)) this.line.push(...p[i]!);
    this.points = [];
  }
}

/**
 * By how many mV a trace is brought back to its row, in whole millimetres: 0 unless its median is more than 0.6 mV off.
 * Amplifiers without a high-pass have offsets of many rows; a shift changes no wave. The drawing says so.
 */
export function shiftOf(values: Float64Array[], gain: number): number {
  let n = 0;
  for (const v of values) n += v.length;
  const all = new Float64Array(n);
  let k = 0;
  for (const v of values) for (const x of v) if (!Number.isNaN(x)) all[k++] = x;
  if (k === 0) return 0;
  const sorted = all.subarray(0, k).sort();
  const middle = sorted[k >> 1]!;
  if (Math.abs(middle) <= 0.6) return 0;
  return -Math.round(middle * gain) / gain;
}
