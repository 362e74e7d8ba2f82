// Draws a frame on the canvas.

import type { Module } from "./module";
import { type Bits, isTable, ownVOI, paintGrey, shades, type VOI } from "./pixels";
import type { Frame } from "./source";
import type { Matrix } from "./view";

/** The picture's own coordinates: pixels of the stored frame, and their shape. */
export interface Shape {
  readonly columns: number;
  readonly rows: number;
  readonly aspect: number;
}

export function shapeOf(f: Frame, header: { columns: number; rows: number }): Shape {
  const columns = header.columns || f.module?.columns || f.bitmap?.width || 1;
  const rows = header.rows || f.module?.rows || f.bitmap?.height || 1;
  if (f.module) return { columns, rows, aspect: f.module.aspect };
  return { columns, rows, aspect: f.bitmap ? f.bitmap.height / rows / (f.bitmap.width / columns) : 1 };
}

/** From this zoom on pixels are shown as they are, in device pixels of one. */
const crisp = 4;

export class Painter {
  private readonly grey = document.createElement("canvas");
  private pixels: ImageData | undefined;
  private painted: { frame: Frame; voi: VOI; invert: boolean } | undefined;
  private shade: { m: Module; voi: VOI; invert: boolean; table: Uint8Array } | undefined;
  private readonly each = new WeakMap<Frame, VOI>();
  private standing: VOI | undefined; // of loops without a window: that of the first frame, lest they flicker

  /** steady keeps one window for all frames that have none. */
  constructor(private readonly ctx: CanvasRenderingContext2D, private readonly steady: boolean) {}

  /** The window or table that a grey frame is drawn with. */
  voi(f: Frame, asked: VOI | undefined): VOI | undefined {
    if (!f.bits || !f.module) return undefined;
    if (asked) return asked;
    if (f.module.windows.length > 0 || f.module.voi.length > 0) return ownVOI(f.module, f.bits);
    if (!this.steady) return this.each.get(f) ?? this.measured(f, f.module, f.bits);
    return (this.standing ??= ownVOI(f.module, f.bits));
  }

  private measured(f: Frame, m: Module, bits: Bits): VOI {
    const voi = ownVOI(m, bits);
    this.each.set(f, voi);
    return voi;
  }

  draw(f: Frame, asked: VOI | undefined, invert: boolean, shape: Shape, m: Matrix): void {
    const { ctx } = this;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, ctx.canvas.width, ctx.canvas.height);
    const picture = f.bitmap ?? this.paint(f, asked, invert);
    if (!picture) return;
    ctx.setTransform(...m);
    const scale = Math.hypot(m[0], m[1]);
    ctx.imageSmoothingEnabled = scale < crisp;
    ctx.imageSmoothingQuality = scale < 1 ? "medium" : "low";
    ctx.drawImage(picture, 0, 0, shape.columns, shape.rows);
    if (invert && f.bitmap) {
      ctx.globalCompositeOperation = "difference";
      ctx.fillStyle = "#fff";
      ctx.fillRect(0, 0, shape.columns, shape.rows);
      ctx.globalCompositeOperation = "source-over";
    }
  }

  private paint(f: Frame, asked: VOI | undefined, invert: boolean): HTMLCanvasElement | undefined {
    const voi = this.voi(f, asked);
    if (!f.module || !f.bits || !voi) return undefined;
    const p = this.painted;
    if (p && p.frame === f && same(p.voi, voi) && p.invert === invert) return this.grey;
    const s = this.shade;
    if (!s || s.m !== f.module || !same(s.voi, voi) || s.invert !== invert) {
      this.shade = { m: f.module, voi, invert, table: shades(f.module, voi, invert) };
    }
    const ctx = this.grey.getContext("2d");
    if (!ctx || !this.shade) return undefined;
    if (!this.pixels || this.pixels.width !== f.module.columns || this.pixels.height !== f.module.rows) {
      this.grey.width = f.module.columns;
      this.grey.height = f.module.rows;
      this.pixels = ctx.createImageData(f.module.columns, f.module.rows);
    }
    paintGrey(f.bits, this.shade.table, this.pixels.data);
    ctx.putImageData(this.pixels, 0, 0);
    this.painted = { frame: f, voi, invert };
    return this.grey;
  }
}

function same(a: VOI, b: VOI): boolean {
  return a === b || !isTable(a) && !isTable(b) && a.center === b.center && a.width === b.width && a.fn === b.fn;
}
