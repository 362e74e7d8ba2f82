// Where a picture lies on the stage: zoom, pan, quarter turns, mirrors.

import type { Point } from "./calibrate";

export interface View {
  readonly zoom: number; // CSS pixels of one picture pixel; 0 fits the picture into the stage
  readonly x: number; // its centre, CSS pixels right of and below the stage's
  readonly y: number;
  readonly turns: number; // quarter turns clockwise, 0 to 3
  readonly flipX: boolean; // mirrored left to right, as it is seen after turning
  readonly flipY: boolean;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const start: View = { zoom: 0, x: 0, y: 0, turns: 0, flipX: false, flipY: false };

const zooms = [1 / 32, 64] as const;

/** a, b, c, d, e, f of x' = a·x + c·y + e, y' = b·x + d·y + f. */
export type Matrix = readonly [number, number, number, number, number, number];

/** The size of a picture as it is seen: its pixels as wide or high as their aspect, none smaller than one. */
export function seen(columns: number, rows: number, aspect: number): Size {
  return aspect > 1 ? { width: columns, height: rows * aspect } : { width: columns / aspect, height: rows };
}

/** The zoom that fits a picture into the stage; small ones are not enlarged more than four times. */
export function fit(v: View, stage: Size, picture: Size): number {
  const across = v.turns % 2 ? { width: picture.height, height: picture.width } : picture;
  return Math.max(zooms[0], Math.min(stage.width / across.width, stage.height / across.height, 4));
}

export function zoomOf(v: View, stage: Size, picture: Size): number {
  return v.zoom || fit(v, stage, picture);
}

/**
 * From pixels of the stored picture to device pixels of the stage. density is device pixels of a CSS pixel. Whole zooms lie on
 * whole device pixels, so that one to one is the picture itself.
 */
export function matrix(v: View, stage: Size, columns: number, rows: number, aspect: number, density: number): Matrix {
  const size = seen(columns, rows, aspect);
  const z = zoomOf(v, stage, size) * density;
  const sx = (z * size.width) / columns;
  const sy = (z * size.height) / rows;
  const [cos, sin] = ([[1, 0], [0, 1], [-1, 0], [0, -1]] as const)[v.turns & 3] ?? [1, 0];
  const mx = v.flipX ? -1 : 1;
  const my = v.flipY ? -1 : 1;
  const a = mx * cos * sx;
  const b = my * sin * sx;
  const c = mx * -sin * sy;
  const d = my * cos * sy;
  let e = (stage.width / 2 + v.x) * density - (a * columns + c * rows) / 2;
  let f = (stage.height / 2 + v.y) * density - (b * columns + d * rows) / 2;
  if (Math.abs(sx - Math.round(sx)) < 1e-6 && Math.abs(sy - Math.round(sy)) < 1e-6) {
    e = Math.round(e);
    f = Math.round(f);
  }
  return [a, b, c, d, e, f];
}

export function apply(m: Matrix, p: Point): Point {
  return { x: m[0] * p.x + m[2] * p.y + m[4], y: m[1] * p.x + m[3] * p.y + m[5] };
}

/** The point that m moves to p. */
export function invert(m: Matrix, p: Point): Point {
  const det = m[0] * m[3] - m[1] * m[2];
  const x = p.x - m[4];
  const y = p.y - m[5];
  return { x: (m[3] * x - m[2] * y) / det, y: (m[0] * y - m[1] * x) / det };
}

/** Zooms by a factor about a place on the stage, in CSS pixels from its upper left corner. */
export function zoomAt(v: View, stage: Size, picture: Size, factor: number, at: Point): View {
  const before = zoomOf(v, stage, picture);
  const zoom = Math.min(Math.max(before * factor, zooms[0]), zooms[1]);
  const k = zoom / before;
  const cx = at.x - stage.width / 2;
  const cy = at.y - stage.height / 2;
  return { ...v, zoom, x: cx - (cx - v.x) * k, y: cy - (cy - v.y) * k };
}

/** A quarter turn clockwise of what is seen. */
export function turn(v: View, quarters: number): View {
  const turns = (v.turns + (v.flipX !== v.flipY ? -quarters : quarters) + 4) % 4;
  return { ...v, turns, x: quarters % 2 ? -v.y : v.x, y: quarters % 2 ? v.x : v.y };
}
