// How fast a loop plays (PS3.3 §C.7.6.5): Recommended Display Frame Rate, what Frame Increment Pointer names, Frame
// Time, Frame Time Vector, Cine Rate.

import { type Elements, number, text } from "./elements";

/** When nothing tells how fast frames were taken, frames a second. */
export const defaultRate = 30;

/** Durations of frames that are believed, ms. */
const shortest = 2;
const longest = 20_000;

export interface Rate {
  /** When each frame begins, ms from the first one, and as the last entry when the loop ends. */
  readonly starts: Float64Array;
  /** Frames a second, on average. */
  readonly perSecond: number;
  /** Whether the header tells it. */
  readonly told: boolean;
}

/** The times of count frames; otherwise is the rate when nothing tells it. */
export function rateOf(header: Elements, count: number, otherwise = defaultRate): Rate {
  const pointer = text(header, "00280009").toUpperCase();
  const sources: (() => Float64Array | undefined)[] = [
    () => even(count, 1000 / (number(header, "00082144") ?? 0)),
    () => (pointer === "00181065" ? vector(header, count) : undefined),
    () => even(count, number(header, "00181063") ?? 0),
    () => vector(header, count),
    () => even(count, 1000 / (number(header, "00180040") ?? 0)),
  ];
  for (const source of sources) {
    const starts = source();
    if (starts) return { starts, perSecond: (1000 * count) / (starts[count] as number), told: true };
  }
  return { starts: even(count, 1000 / otherwise) as Float64Array, perSecond: otherwise, told: false };
}

function even(count: number, millis: number): Float64Array | undefined {
  if (!(millis >= shortest && millis <= longest)) return undefined;
  return Float64Array.from({ length: count + 1 }, (_, i) => i * millis);
}

/** Frame Time Vector (0018,1065): increments in ms, the first of which is 0; the last frame takes the mean one. */
function vector(header: Elements, count: number): Float64Array | undefined {
  if (count < 2 || header["00181065"]?.Value?.length !== count) return undefined;
  const starts = new Float64Array(count + 1);
  for (let i = 1; i < count; i++) {
    const d = number(header, "00181065", i);
    if (d === undefined || d < shortest || d > longest) return undefined;
    starts[i] = (starts[i - 1] as number) + d;
  }
  const end = starts[count - 1] as number;
  starts[count] = end + end / (count - 1);
  return starts;
}
