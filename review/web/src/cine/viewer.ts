// The viewer: what is shown, and when it is drawn. Keys, mouse and touch are in input.ts.

import { text } from "../frame/text";
import type { Point } from "./calibrate";
import { Clock } from "./clock";
import { integer } from "./elements";
import { Marks } from "./marks";
import { isGrey } from "./module";
import { directions, edges } from "./orient";
import { Painter, type Shape, shapeOf } from "./painter";
import { fullWindow, isTable, type VOI } from "./pixels";
import { chosen } from "./presets";
import { defaultRate, type Rate, rateOf } from "./rate";
import { type Frame, NotShown, type Pictures } from "./source";
import { Store } from "./store";
import { apply, fit, invert, type Matrix, matrix, seen, type Size, start, turn, type View, zoomAt, zoomOf } from "./view";
import type { Window } from "./window";

export type Tool = "scroll" | "window" | "pan" | "measure";

/** The elements that the viewer writes to. */
export interface Parts {
  readonly stage: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly layer: SVGSVGElement;
  readonly list: HTMLOListElement;
  readonly loaded: HTMLCanvasElement; // a pixel for a frame, or for some
  readonly corner: (name: "where" | "how" | "zoom" | "info" | "left" | "right" | "top" | "bottom") => HTMLElement;
}

/** Memory of decoded frames, bytes; less where the device has little. */
function budget(): number {
  const gigabytes = (navigator as { deviceMemory?: number }).deviceMemory ?? 4;
  return (gigabytes <= 2 ? 96 : 256) << 20;
}

/** Playing begins when so many frames are there, or after a while with those that are, ms. */
const runUp = 10;
const patience = 1500;

/** How fast the pictures of a series are played, a second: nobody took them as a loop. */
const stackRate = 10;

/** Frames that are fetched around the one that is looked at. */
const neighbours = 12;

/** Frames that are fetched ahead of a loop that plays, at most. */
const farthest = 300;

export class Viewer {
  readonly store: Store<Frame>;
  readonly clock: Clock;
  readonly rate: Rate;
  readonly marks: Marks;
  readonly count: number;
  tool: Tool;
  view: View = start;
  info = false;
  /** Is called when another frame is wanted. */
  onMove: () => void = () => undefined;
  private frame = 0; // that should be seen
  private seenFrame = -1; // that is
  private shown: Frame | undefined;
  private shape: Shape | undefined;
  private preset = "own";
  private asked: VOI | undefined;
  private inverted = false;
  private waiting: number | undefined; // when play was pressed, while frames are awaited
  private speed = 1;
  private scheduled = false;
  private drawMillis = 0;
  private size: Size = { width: 1, height: 1 }; // of the stage, CSS pixels
  private troubled = false; // a problem is told
  private stripped = 0; // when the strip was drawn
  private readonly painter: Painter;

  constructor(
    private readonly source: Pictures, private readonly parts: Parts, first: number, private readonly film: boolean,
    private readonly told: {
      /** Something changed that controls show. */
      changed(): void;
      /** A frame cannot be shown; undefined when one was. */
      problem(frame: number, why: unknown): void;
    },
  ) {
    this.count = source.count;
    this.rate = rateOf(film ? source.headerOf(first) ?? {} : {}, this.count, film ? defaultRate : stackRate);
    this.clock = new Clock(this.rate.starts);
    this.tool = this.count > 1 ? "scroll" : "pan";
    const ctx = parts.canvas.getContext("2d", { alpha: false });
    if (!ctx) throw new Error("no canvas");
    this.painter = new Painter(ctx, film);
    this.marks = new Marks(parts.layer, parts.list, source, () => this.invalidate());
    const header = source.headerOf(first);
    const pixels = integer(header, "00280010", 0) * integer(header, "00280011", 0);
    this.store = new Store<Frame>({
      count: this.count, budget: budget(), parallel: pixels > 4 << 20 ? 2 : 6,
      load: (frame, signal) => source.load(frame, signal),
      came: () => this.came(),
      failed: (frame, why) => this.failed(frame, why),
      now: () => performance.now(),
    });
    new ResizeObserver(() => this.resize()).observe(parts.stage);
    this.resize();
    this.go(first);
  }

  // What is seen

  get current(): number {
    return this.frame;
  }

  get playing(): boolean {
    return this.clock.playing || this.waiting !== undefined;
  }

  get presetKey(): string {
    return this.asked && this.preset === "own" ? "" : this.preset;
  }

  get isInverted(): boolean {
    return this.inverted;
  }

  get frameShown(): Frame | undefined {
    return this.shown;
  }

  /** Whether windows do anything: not on colours. */
  get hasWindow(): boolean {
    return this.shown?.bits !== undefined && this.shown.module !== undefined && isGrey(this.shown.module);
  }

  private get seenSize(): Size {
    const s = this.shape;
    return s ? seen(s.columns, s.rows, s.aspect) : { width: 1, height: 1 };
  }

  // Frames

  go(frame: number): void {
    this.frame = Math.max(0, Math.min(this.count - 1, Math.round(frame)));
    if (this.clock.playing) this.clock.seek(this.frame, performance.now());
    this.store.forgive(this.frame);
    this.fetch();
    this.invalidate();
    this.told.changed();
    this.onMove();
  }

  /** Steps by hand, which ends playing. */
  step(by: number): void {
    this.pause();
    const to = this.frame + by;
    this.go(this.clock.loop ? ((to % this.count) + this.count) % this.count : to);
  }

  play(): void {
    if (this.count < 2 || this.playing) return;
    if (!this.clock.loop && this.frame === this.count - 1) this.frame = 0;
    this.waiting = performance.now();
    this.fetch();
    this.invalidate();
    this.told.changed();
  }

  pause(): void {
    if (!this.playing) return;
    this.waiting = undefined;
    this.clock.pause();
    this.fetch();
    this.invalidate();
    this.told.changed();
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.clock.setSpeed(speed);
    this.told.changed();
    this.invalidate();
  }

  setLoop(loop: boolean): void {
    this.clock.loop = loop;
    this.told.changed();
  }

  private fetch(): void {
    const millis = 1000 / (this.rate.perSecond * this.speed);
    const lead = this.clock.playing ? Math.min(Math.ceil(this.store.latency / millis), this.count >> 1) : 0;
    // A loop that fits is fetched whole, so that it is there when it is played; a series may be long.
    const fits = this.film && this.store.room >= this.count;
    const stride = this.clock.playing ? Math.max(1, Math.ceil(this.store.pace / millis - 0.2)) : 1;
    this.store.want(this.frame, lead, this.playing ? farthest : fits ? this.count - 1 : neighbours, stride, !this.playing);
  }

  private came(): void {
    if (!this.playing) this.fetch(); // now the size of a frame is known
    this.invalidate();
  }

  private failed(frame: number, why: unknown): void {
    const final = why instanceof NotShown && (why.status === 406 || why.status === 404);
    const all = this.film && final && !this.shown; // no frame of it can be shown
    if (all) this.pause();
    if (frame !== this.frame && !all) return;
    this.troubled = true;
    this.told.problem(frame, why);
  }

  // Grey

  /** The window that is used, of grey frames. */
  window(): VOI | undefined {
    return this.shown && this.painter.voi(this.shown, this.asked);
  }

  choose(key: string): void {
    const f = this.shown;
    if (!f?.module || !f.bits) return;
    this.preset = key;
    this.asked = chosen(key, f.module, f.bits);
    this.invalidate();
    this.told.changed();
  }

  setWindow(w: Window): void {
    const limit = 2 ** 33;
    const width = Math.min(Math.max(w.width, w.fn === "LINEAR" ? 1 : 1e-3), limit);
    this.asked = { center: Math.min(Math.max(w.center, -limit), limit), width, fn: w.fn };
    this.preset = "own";
    this.invalidate();
    this.told.changed();
  }

  /** The window from which dragging starts: that of a table is all values. */
  windowNow(): Window | undefined {
    const f = this.shown;
    const voi = this.window();
    if (!voi || !f?.module || !f.bits) return undefined;
    return isTable(voi) ? fullWindow(f.module, f.bits) : voi;
  }

  toggleInvert(): void {
    this.inverted = !this.inverted;
    this.invalidate();
    this.told.changed();
  }

  // Place

  setView(v: View): void {
    this.view = v;
    this.invalidate();
  }

  zoom(factor: number, at?: Point): void {
    const { width, height } = this.size;
    this.setView(zoomAt(this.view, this.size, this.seenSize, factor, at ?? { x: width / 2, y: height / 2 }));
  }

  pan(dx: number, dy: number): void {
    this.setView({ ...this.view, zoom: zoomOf(this.view, this.size, this.seenSize), x: this.view.x + dx, y: this.view.y + dy });
  }

  fit(): void {
    this.setView({ ...this.view, zoom: 0, x: 0, y: 0 });
  }

  oneToOne(): void {
    this.setView({ ...this.view, zoom: 1 / devicePixelRatio, x: 0, y: 0 });
  }

  rotate(quarters: number): void {
    this.setView(turn(this.view, quarters));
  }

  flip(axis: "x" | "y"): void {
    this.setView(axis === "x" ? { ...this.view, flipX: !this.view.flipX, x: -this.view.x } : { ...this.view, flipY: !this.view.flipY, y: -this.view.y });
  }

  reset(): void {
    this.view = start;
    this.preset = "own";
    this.asked = undefined;
    this.inverted = false;
    this.marks.cross = undefined;
    this.invalidate();
    this.told.changed();
  }

  /** The place in the picture, in its pixels, under one of the stage, in CSS pixels. */
  place(at: Point): Point | undefined {
    const m = this.matrix();
    return m && invert(m, { x: at.x * devicePixelRatio, y: at.y * devicePixelRatio });
  }

  private matrix(): Matrix | undefined {
    const s = this.shape;
    return s && matrix(this.view, this.size, s.columns, s.rows, s.aspect, devicePixelRatio);
  }

  /** The middle of the stage in the picture's pixels. */
  middle(): Point | undefined {
    const { width, height } = this.size;
    return this.place({ x: width / 2, y: height / 2 });
  }

  // Drawing

  invalidate(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame((now) => {
      this.scheduled = false;
      this.tick(now);
    });
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.parts.stage;
    this.size = { width, height };
    this.parts.canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    this.parts.canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    this.parts.layer.setAttribute("viewBox", `0 0 ${Math.max(1, width)} ${Math.max(1, height)}`);
    this.invalidate();
  }

  private tick(now: number): void {
    if (this.waiting !== undefined && this.ready(now)) {
      this.waiting = undefined;
      this.clock.play(this.frame, now);
    }
    if (this.clock.playing) {
      const frame = this.clock.tick(now, (f) => this.store.cache.has(f));
      if (frame !== this.frame) {
        this.frame = frame;
        this.fetch();
        this.told.changed();
        this.onMove();
      }
      if (!this.clock.playing) this.told.changed(); // it came to its end
    }
    this.draw();
    if (this.playing) this.invalidate();
  }

  /** Whether enough frames are there to begin with. */
  private ready(now: number): boolean {
    const need = Math.min(runUp, this.count, this.store.room);
    for (let k = 0; k < need; k++) {
      if (!this.store.cache.has((this.frame + k) % this.count)) return this.store.cache.has(this.frame) && now - (this.waiting ?? now) > patience;
    }
    return true;
  }

  /**
   * The frame to draw: the one that is wanted, or while playing the last one before it that came, though late, so that there is
   * some movement over a slow line.
   */
  private available(): number {
    if (this.clock.playing && !this.store.cache.has(this.frame)) {
      for (let k = 1; k < Math.min(this.count, 60); k++) {
        const f = (this.frame - k + this.count) % this.count;
        if (f === this.seenFrame) break;
        if (this.store.cache.has(f)) return f;
      }
    }
    return this.frame;
  }

  private draw(): void {
    const began = performance.now();
    const at = this.available();
    const f = this.store.cache.get(at);
    if (f && this.troubled) {
      this.troubled = false;
      this.told.problem(this.frame, undefined);
    }
    if (f && (f !== this.shown || this.seenFrame !== at)) {
      const before = this.shown;
      this.shown = f;
      this.seenFrame = at;
      const header = this.source.headerOf(at);
      this.shape = shapeOf(f, { columns: integer(header, "00280011", 0), rows: integer(header, "00280010", 0) });
      if (!before) this.told.problem(this.frame, undefined);
      if (!before || before.module !== f.module && before.module?.windows.length !== f.module?.windows.length) this.told.changed();
    }
    const m = this.matrix();
    // What the cache let go of is closed and cannot be drawn again; what was drawn of it stays.
    const gone = this.shown?.bitmap && this.shown.bitmap.width === 0;
    if (this.shown && this.shape && m && !gone) this.painter.draw(this.shown, this.asked, this.inverted, this.shape, m);
    if (m) this.overlay(m);
    this.drawMillis = 0.9 * this.drawMillis + 0.1 * (performance.now() - began);
  }

  private overlay(m: Matrix): void {
    const { parts } = this;
    const density = devicePixelRatio;
    const css = m.map((v) => v / density) as unknown as Matrix;
    this.marks.draw(this.seenFrame, css, this.size.width);
    const put = (name: Parameters<Parts["corner"]>[0], words: string) => {
      const e = parts.corner(name);
      if (e.textContent !== words) e.textContent = words;
    };
    const lines = [];
    if (this.count > 1) {
      lines.push(this.placeWords());
      if (this.film || this.playing) lines.push(text(this.rate.told ? "cine.overlay.rate" : "cine.overlay.rate.default", round(this.rate.perSecond * this.speed)));
    }
    if (this.seenFrame !== this.frame) lines.push(text("cine.overlay.loading"));
    put("where", lines.join("\n"));
    put("how", this.windowWords());
    const zoom = zoomOf(this.view, this.size, this.seenSize);
    const turned = [this.view.turns ? `${this.view.turns * 90}°` : "", this.view.flipX ? "↔" : "", this.view.flipY ? "↕" : ""];
    put("zoom", [text("cine.overlay.zoom", Math.round(zoom * density * 100)), ...turned].filter(Boolean).join(" "));
    const header = this.source.headerOf(this.seenFrame);
    const to = header && directions(header, this.source.frameOf(this.seenFrame));
    const sides = to ? edges(to, m) : undefined;
    for (const side of ["left", "right", "top", "bottom"] as const) put(side, sides?.[side] ?? "");
    put("info", this.info ? this.infoWords() : "");
    this.report(m);
  }

  /** Which of how many is wanted. */
  placeWords(): string {
    return text(this.film ? "cine.overlay.frame" : "cine.overlay.image", this.frame + 1, this.count);
  }

  private windowWords(): string {
    const voi = this.window();
    if (!voi) return "";
    if (isTable(voi)) return voi.name || text("cine.overlay.table");
    const units = this.shown?.module?.units;
    return text("cine.overlay.window", round(voi.center), round(voi.width)) + (units && units !== "US" ? ` ${units}` : "") +
      (this.inverted ? `\n${text("cine.overlay.inverted")}` : "");
  }

  private infoWords(): string {
    const c = this.clock.counts;
    const { cache } = this.store;
    return [
      `${this.shape?.columns ?? 0} × ${this.shape?.rows ?? 0}`,
      text("cine.info.frames", c.asked, c.shown, c.late, c.missed),
      text("cine.info.cache", cache.size, this.count, (cache.bytes / 2 ** 20).toFixed(0), (cache.budget / 2 ** 20).toFixed(0)),
      text("cine.info.times", this.store.latency.toFixed(0), this.drawMillis.toFixed(1)),
    ].join("\n");
  }

  /** What the viewer did, for tests and for people who look into a problem. */
  private report(m: Matrix): void {
    const d = this.parts.canvas.dataset;
    const c = this.clock.counts;
    const voi = this.window();
    const now: Record<string, string> = {
      frame: String(this.seenFrame + 1), wanted: String(this.frame + 1), playing: String(this.clock.playing),
      asked: String(c.asked), shown: String(c.shown), late: String(c.late), missed: String(c.missed),
      held: String(this.store.cache.size), bytes: String(this.store.cache.bytes), matrix: m.map((v) => +v.toFixed(4)).join(" "),
      window: voi && !isTable(voi) ? `${voi.center} ${voi.width} ${voi.fn}` : "", pending: String(this.store.pending),
    };
    const time = performance.now();
    if (d["held"] !== now["held"] && this.store.pending === 0 || time - this.stripped > 250 && this.store.pending > 0) this.strip(time);
    for (const [k, v] of Object.entries(now)) if (d[k] !== v) d[k] = v;
  }

  /** Shows which frames are in memory. */
  private strip(now: number): void {
    this.stripped = now;
    const c = this.parts.loaded;
    const width = Math.min(this.count, 1000);
    if (c.width !== width) c.width = width;
    const ctx = c.getContext("2d");
    if (!ctx) return;
    ctx.clearRect(0, 0, width, 1);
    ctx.fillStyle = getComputedStyle(c).color;
    for (const f of this.store.cache.frames()) ctx.fillRect(Math.floor((f * width) / this.count), 0, 1, 1);
  }

  /** Where a place of the picture is on the stage, CSS pixels. */
  onStage(p: Point): Point | undefined {
    const m = this.matrix();
    if (!m) return undefined;
    const at = apply(m, p);
    return { x: at.x / devicePixelRatio, y: at.y / devicePixelRatio };
  }

  fitZoom(): number {
    return fit(this.view, this.size, this.seenSize);
  }

  dispose(): void {
    this.pause();
    this.store.close();
  }
}

function round(v: number): string {
  return Math.abs(v) >= 100 ? v.toFixed(0) : String(+v.toFixed(2));
}
