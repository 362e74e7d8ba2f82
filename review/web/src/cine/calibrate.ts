// Distances in millimetres, where the header says how large a pixel is.

import { type Elements, integer, item, items, number } from "./elements";
import { groups } from "./module";

/** A place in a picture, in pixels: 0, 0 is the upper left corner of the first one. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Distance {
  readonly millimetres: number;
  /** Measured where the picture was taken up, not in the patient, whom it may show larger: Imager Pixel Spacing. */
  readonly detector: boolean;
}

/** The distance of two places in a frame, counted from 1; undefined where nothing is calibrated. */
export function distance(header: Elements, frame: number, a: Point, b: Point): Distance | undefined {
  const regions = items(header, "00186011");
  if (regions.length > 0) return inRegion(regions, a, b);
  const [own, shared] = groups(header, frame);
  for (const [level, tag, detector] of [
    [item(own, "00289110", 0), "00280030", false],
    [item(shared, "00289110", 0), "00280030", false],
    [header, "00280030", false],
    [header, "00181164", true],
    [header, "00182010", false],
  ] as [Elements | undefined, string, boolean][]) {
    const row = number(level, tag, 0); // between rows: downwards
    const column = number(level, tag, 1);
    if (row && column && row > 0 && column > 0) return { millimetres: Math.hypot((b.x - a.x) * column, (b.y - a.y) * row), detector };
  }
  return undefined;
}

const centimetre = 3; // Physical Units (0018,6024), PS3.3 §C.8.5.5.1.15
const twoDimensional = 1; // Region Spatial Format (0018,6012)

/** In ultrasound a part of the picture is calibrated (PS3.3 §C.8.5.5): the smallest one that holds both places. */
function inRegion(regions: readonly Elements[], a: Point, b: Point): Distance | undefined {
  let best: { area: number; millimetres: number } | undefined;
  for (const r of regions.slice(0, 64)) {
    const [x0, y0, x1, y1] = ["00186018", "0018601A", "0018601C", "0018601E"].map((tag) => number(r, tag)) as (number | undefined)[];
    const dx = Math.abs(number(r, "0018602C") ?? 0);
    const dy = Math.abs(number(r, "0018602E") ?? 0);
    if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined || !dx || !dy) continue;
    if (integer(r, "00186012", 0) !== twoDimensional) continue;
    if (integer(r, "00186024", 0) !== centimetre || integer(r, "00186026", 0) !== centimetre) continue;
    const inside = (p: Point) => p.x >= x0 && p.x <= x1 + 1 && p.y >= y0 && p.y <= y1 + 1;
    const area = (x1 - x0) * (y1 - y0);
    if (inside(a) && inside(b) && (!best || area < best.area)) {
      best = { area, millimetres: 10 * Math.hypot((b.x - a.x) * dx, (b.y - a.y) * dy) };
    }
  }
  return best && { millimetres: best.millimetres, detector: false };
}
