// Calipers on the paper: two cursors each, moved by mouse, finger or keys, and read in words.

import { text } from "../frame/text";
import { describe, march, measure, type Point, snap, valueAt, voltage } from "./calipers";
import type { Cell, Plan } from "./layout";
import { clock } from "./scale";
import type { Drawn } from "./series";

interface Caliper {
  id: number;
  lead: string;
  row: number; // of the cell that it was made in: a lead may be drawn twice
  a: Point;
  b: Point;
  march: boolean;
}

/** What is drawn at the moment. */
export interface Scene {
  plan: Plan;
  drawn: Drawn[];
  speed: number;
  gain: number;
  px: number; // CSS pixels of a millimetre
  filtered: boolean;
}

const MOST = 12;
const SVG = "http://www.w3.org/2000/svg";

export class Calipers {
  private list: Caliper[] = [];
  private next = 1;
  private scene: Scene | null = null;
  private current: Caliper | null = null;
  private speak = 0;
  snapping = false;
  measuring = false; // a drag on the paper makes a caliper

  constructor(
    private readonly sheet: HTMLElement, private readonly svg: SVGSVGElement, private readonly handles: HTMLElement,
    private readonly panel: HTMLElement, private readonly readings: HTMLElement, private readonly live: HTMLElement,
    private readonly goTo: (t: number) => void,
  ) {
    sheet.addEventListener("pointerdown", (e) => this.press(e));
  }

  /** Draws all calipers on another scene. */
  show(scene: Scene): void {
    this.scene = scene;
    this.build();
  }

  /** Adds a caliper in the middle of what is seen: in the first lead that has samples. */
  add(): void {
    const s = this.scene;
    const d = s?.drawn.find((x) => x.series.length > 0);
    if (!s || !d || this.list.length >= MOST) return;
    const c = d.cell;
    const half = Math.min(0.4, c.dur / 4);
    const middle = c.t0 + c.dur / 2;
    const made = this.create(c, this.settle(d, { t: middle - half, mv: 0 }), this.settle(d, { t: middle + half, mv: 0 }));
    this.build();
    this.handle(made, "a")?.focus({ preventScroll: false });
    this.say(made);
  }

  clear(): void {
    this.list = [];
    this.current = null;
    this.build();
  }

  /** Removes, marches or snaps the caliper that was touched last. Returns whether there was one. */
  command(what: "remove" | "march" | "snap"): boolean {
    const c = this.current;
    if (!c) return false;
    if (what === "remove") this.remove(c);
    else if (what === "march") c.march = !c.march;
    else {
      const d = this.drawnOf(c);
      if (!d) return false;
      c.a = this.snapped(d, c.a);
      c.b = this.snapped(d, c.b);
    }
    this.build();
    if (what !== "remove") this.say(c);
    return true;
  }

  private create(cell: Cell, a: Point, b: Point): Caliper {
    const c: Caliper = { id: this.next++, lead: cell.name, row: cell.row, a, b, march: false };
    this.list.push(c);
    this.current = c;
    return c;
  }

  private remove(c: Caliper): void {
    this.list = this.list.filter((x) => x !== c);
    if (this.current === c) this.current = this.list.at(-1) ?? null;
  }

  /** The cell that shows a caliper: the one it was made in, else any with its lead and its time. */
  private drawnOf(c: Caliper): Drawn | undefined {
    const fits = (d: Drawn) => d.cell.name === c.lead && c.a.t >= d.cell.t0 - 1e-9 && c.a.t <= d.cell.t0 + d.cell.dur + 1e-9;
    const all = this.scene?.drawn.filter(fits) ?? [];
    return all.find((d) => d.cell.row === c.row) ?? all[0];
  }

  private place(d: Drawn, p: Point): { x: number; y: number } {
    const s = this.scene!;
    return { x: (d.cell.x + (p.t - d.cell.t0) * s.speed) * s.px, y: (d.cell.y - (p.mv + d.shift) * s.gain) * s.px };
  }

  /** The point of a cell at a place of the sheet, within the cell. */
  private point(d: Drawn, x: number, y: number): Point {
    const s = this.scene!;
    const t = d.cell.t0 + (x / s.px - d.cell.x) / s.speed;
    const mv = (d.cell.y - y / s.px) / s.gain - d.shift;
    return this.within(d, { t, mv });
  }

  private within(d: Drawn, p: Point): Point {
    const s = this.scene!;
    const mv = Math.max((d.cell.y - s.plan.height) / s.gain - d.shift, Math.min(d.cell.y / s.gain - d.shift, p.mv));
    return { t: Math.max(d.cell.t0, Math.min(d.cell.t0 + d.cell.dur, p.t)), mv };
  }

  private snapped(d: Drawn, p: Point): Point {
    return snap(d.series, p.t) ?? p;
  }

  /** Where a cursor stands that was put down: on the peak when snapping is on, else as it was put. */
  private settle(d: Drawn, p: Point): Point {
    return this.snapping ? this.snapped(d, p) : p;
  }

  private press(e: PointerEvent): void {
    if (!this.measuring || !this.scene || e.button !== 0 || (e.target as HTMLElement).closest("[role=slider]")) return;
    const at = this.local(e);
    const d = this.under(at.x, at.y);
    if (!d || this.list.length >= MOST) return;
    e.preventDefault();
    const first = this.settle(d, this.point(d, at.x, at.y));
    const c = this.create(d.cell, first, first);
    this.build();
    this.drag(e, c, "b");
  }

  private local(e: PointerEvent): { x: number; y: number } {
    const box = this.sheet.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
  }

  /** The cell at a place: of its column the one whose baseline is nearest. */
  private under(x: number, y: number): Drawn | undefined {
    const px = this.scene!.px;
    const far = (d: Drawn) => Math.abs(d.cell.y - y / px);
    return this.scene!.drawn
      .filter((d) => d.series.length > 0 && x / px >= d.cell.x - 0.5 && x / px <= d.cell.x + d.cell.w + 0.5)
      .sort((p, q) => far(p) - far(q))[0];
  }

  /** Moves a cursor with the pointer until it is lifted. */
  private drag(e: PointerEvent, c: Caliper, which: "a" | "b"): void {
    const d = this.drawnOf(c);
    if (!d) return;
    const from = this.local(e);
    const grip = which === "b" && c.a === c.b ? from : this.place(d, c[which]); // not to jump under the finger
    const moved = (m: PointerEvent) => {
      if (m.pointerId !== e.pointerId) return;
      const at = this.local(m);
      c[which] = this.settle(d, this.point(d, grip.x + at.x - from.x, grip.y + at.y - from.y));
      this.update(c);
    };
    const done = (m: PointerEvent) => {
      if (m.pointerId !== e.pointerId) return;
      document.removeEventListener("pointermove", moved);
      document.removeEventListener("pointerup", done);
      document.removeEventListener("pointercancel", done);
      this.handle(c, which)?.focus({ preventScroll: true });
      this.say(c);
    };
    document.addEventListener("pointermove", moved);
    document.addEventListener("pointerup", done);
    document.addEventListener("pointercancel", done);
  }

  private key(e: KeyboardEvent, c: Caliper, which: "a" | "b"): void {
    const d = this.drawnOf(c);
    if (!d || e.ctrlKey || e.metaKey || e.altKey) return;
    const rate = d.series[0]?.rate ?? 500;
    const far = e.shiftKey ? 10 : 1;
    const p = c[which];
    // One sample; on the trace where cursors snap to it.
    const sample = (n: number): Point => {
      const t = p.t + n / rate;
      return (this.snapping && valueAt(d.series, t)) || { t, mv: p.mv };
    };
    let to: Point;
    switch (e.key) {
      case "ArrowLeft":
        to = sample(-far);
        break;
      case "ArrowRight":
        to = sample(far);
        break;
      case "ArrowUp":
        to = { t: p.t, mv: p.mv + 0.01 * far };
        break;
      case "ArrowDown":
        to = { t: p.t, mv: p.mv - 0.01 * far };
        break;
      case "Home":
        to = { t: d.cell.t0, mv: p.mv };
        break;
      case "End":
        to = { t: d.cell.t0 + d.cell.dur, mv: p.mv };
        break;
      case "n":
      case "N":
        e.preventDefault();
        e.stopPropagation();
        this.nextLead(c, d, which);
        return;
      default:
        return;
    }
    e.preventDefault();
    e.stopPropagation();
    c[which] = this.within(d, to);
    this.current = c;
    this.update(c);
    this.say(c);
  }

  /** Moves a caliper to the next trace, to the same place of it. */
  private nextLead(c: Caliper, d: Drawn, which: "a" | "b"): void {
    const all = this.scene!.drawn.filter((x) => x.series.length > 0);
    const next = all[(all.indexOf(d) + 1) % all.length];
    if (!next) return;
    const move = (p: Point) => this.settle(next, this.within(next, { t: next.cell.t0 + p.t - d.cell.t0, mv: p.mv }));
    c.a = move(c.a);
    c.b = move(c.b);
    c.lead = next.cell.name;
    c.row = next.cell.row;
    this.build();
    this.handle(c, which)?.focus();
    this.say(c);
  }

  private handle(c: Caliper, which: "a" | "b"): HTMLElement | null {
    return this.handles.querySelector(`[data-caliper="${c.id}"][data-cursor="${which}"]`);
  }

  /** Makes handles and list anew, and keeps the focus where it was. */
  private build(): void {
    const focus = document.activeElement as HTMLElement | null;
    const key = focus?.dataset["caliper"] ? `[data-caliper="${focus.dataset["caliper"]}"][data-cursor="${focus.dataset["cursor"]}"]` : "";
    this.handles.replaceChildren();
    this.panel.hidden = this.list.length === 0;
    this.readings.replaceChildren(...this.list.map((c) => this.item(c)));
    for (const c of this.list) {
      if (!this.drawnOf(c)) continue;
      for (const which of ["a", "b"] as const) {
        const h = document.createElement("div");
        h.className = "ecg-handle";
        h.tabIndex = 0;
        h.role = "slider";
        h.dataset["caliper"] = String(c.id);
        h.dataset["cursor"] = which;
        h.ariaLabel = text(which === "a" ? "ecg.js.start" : "ecg.js.end", c.id, c.lead);
        h.addEventListener("pointerdown", (e) => {
          if (e.button !== 0) return;
          e.preventDefault();
          e.stopPropagation();
          this.current = c;
          h.focus({ preventScroll: true });
          this.drag(e, c, which);
        });
        h.addEventListener("focus", () => (this.current = c));
        h.addEventListener("keydown", (e) => this.key(e, c, which));
        this.handles.append(h);
      }
    }
    for (const c of this.list) this.update(c, false);
    this.lines();
    if (key) (document.querySelector(key) as HTMLElement | null)?.focus({ preventScroll: true });
  }

  private item(c: Caliper): HTMLElement {
    const li = document.createElement("li");
    li.dataset["reading"] = String(c.id);
    const words = document.createElement("span");
    words.className = "num ecg-reads";
    const button = (label: string, name: string, cursor: string, fn: () => void) => {
      const b = document.createElement("button");
      b.type = "button";
      b.className = "small";
      b.textContent = label;
      b.ariaLabel = name;
      b.dataset["caliper"] = String(c.id);
      b.dataset["cursor"] = cursor;
      b.addEventListener("click", fn);
      return b;
    };
    const out = button(text("ecg.js.march"), text("ecg.js.march.one", c.id), "march", () => {
      c.march = !c.march;
      this.current = c;
      this.build();
    });
    out.ariaPressed = String(c.march);
    li.append(words, out, button(text("ecg.js.show"), text("ecg.js.show.one", c.id), "show", () => {
      this.current = c;
      this.goTo(Math.min(c.a.t, c.b.t));
      this.handle(c, "a")?.focus();
    }), button(text("ecg.js.remove"), text("ecg.js.remove.one", c.id), "remove", () => {
      this.remove(c);
      this.build();
      (this.readings.querySelector("button") ?? document.getElementById("ecg-add"))?.focus();
    }));
    return li;
  }

  /** Puts a caliper's handles and words where they belong. */
  private update(c: Caliper, redraw = true): void {
    const s = this.scene;
    if (!s) return;
    const d = this.drawnOf(c);
    const reads = this.words(c);
    const words = this.readings.querySelector(`[data-reading="${c.id}"] .ecg-reads`);
    if (words) words.textContent = text("ecg.js.caliper", c.id, c.lead, reads);
    if (d) {
      for (const which of ["a", "b"] as const) {
        const h = this.handle(c, which);
        if (!h) continue;
        const { x, y } = this.place(d, c[which]);
        h.style.left = x + "px";
        h.style.top = y + "px";
        const zero = s.plan.from;
        h.ariaValueMin = String(Math.round((d.cell.t0 - zero) * 1000));
        h.ariaValueMax = String(Math.round((d.cell.t0 + d.cell.dur - zero) * 1000));
        h.ariaValueNow = String(Math.round((c[which].t - zero) * 1000));
        h.ariaValueText = text("ecg.js.point", clock(c[which].t - zero, s.plan.total), voltage(c[which].mv)) + " · " + reads;
      }
    }
    if (redraw) this.lines();
  }

  private words(c: Caliper): string {
    return describe(measure(c.a, c.b)) + (this.scene?.filtered ? " " + text("ecg.js.filteredread") : "");
  }

  /** Says a caliper's reading to screen readers once it rests. */
  private say(c: Caliper): void {
    window.clearTimeout(this.speak);
    this.speak = window.setTimeout(() => (this.live.textContent = text("ecg.js.caliper", c.id, c.lead, this.words(c))), 400);
  }

  private lines(): void {
    const s = this.scene;
    if (!s) return;
    const w = s.plan.width * s.px;
    const h = s.plan.height * s.px;
    this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    this.svg.setAttribute("width", String(w));
    this.svg.setAttribute("height", String(h));
    const parts: SVGElement[] = [];
    const line = (x1: number, y1: number, x2: number, y2: number, kind: string) => {
      const l = document.createElementNS(SVG, "line");
      for (const [k, v] of Object.entries({ x1, y1, x2, y2 })) l.setAttribute(k, String(v));
      l.setAttribute("class", kind);
      parts.push(l);
    };
    const labels = new Map<number, number>(); // of each row: they must not lie on one another
    for (const c of this.list) {
      const d = this.drawnOf(c);
      if (!d) continue;
      const above = labels.get(d.cell.row) ?? 0;
      labels.set(d.cell.row, above + 1);
      const a = this.place(d, c.a);
      const b = this.place(d, c.b);
      const top = Math.max(2, (d.cell.y - s.plan.pitch * 0.62) * s.px);
      const low = Math.min(h - 2, (d.cell.y + s.plan.pitch * 0.5) * s.px);
      line(a.x, Math.min(top, a.y), a.x, Math.max(low, a.y), "cursor");
      line(b.x, Math.min(top, b.y), b.x, Math.max(low, b.y), "cursor");
      line(a.x, a.y, b.x, a.y, "across");
      line(b.x, a.y, b.x, b.y, "across");
      if (c.march) {
        const end = d.cell.t0 + d.cell.dur;
        for (const t of march(c.a.t, c.b.t, d.cell.t0, end)) {
          const { x } = this.place(d, { t, mv: 0 });
          line(x, top, x, low, "step");
        }
      }
      const label = document.createElementNS(SVG, "text");
      label.textContent = describe(measure(c.a, c.b));
      const wide = label.textContent.length * 6.6;
      label.setAttribute("x", String(Math.max(4, Math.min(w - wide - 4, Math.min(a.x, b.x) + 4))));
      label.setAttribute("y", String(Math.max(14, top + 10) + 14 * (above % 4)));
      parts.push(label);
    }
    this.svg.replaceChildren(...parts);
  }
}
