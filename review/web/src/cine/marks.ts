// Measurements: lines over the picture with their lengths, and the list of them.

import { type Distance, distance, type Point } from "./calibrate";
import type { Elements } from "./elements";
import { text } from "../frame/text";
import { apply, type Matrix } from "./view";

interface Mark {
  readonly frame: number; // from 0
  readonly a: Point;
  b: Point;
}

/** At most so many are kept. */
const most = 100;

const svg = "http://www.w3.org/2000/svg";

export class Marks {
  private readonly marks: Mark[] = [];
  private open: Mark | undefined; // its second end is not placed yet
  cross: Point | undefined; // where keys would place an end

  constructor(
    private readonly layer: SVGSVGElement, private readonly list: HTMLOListElement,
    private readonly pictures: { headerOf(i: number): Elements | undefined; frameOf(i: number): number }, private readonly changed: () => void,
  ) {}

  get placing(): boolean {
    return this.open !== undefined;
  }

  begin(frame: number, at: Point): void {
    this.open = { frame, a: at, b: at };
    this.changed();
  }

  move(to: Point): void {
    if (!this.open) return;
    this.open.b = to;
    this.changed();
  }

  /** Places the second end; a line without length is none. */
  end(to: Point): void {
    const mark = this.open;
    this.open = undefined;
    if (mark) {
      mark.b = to;
      if (Math.hypot(mark.b.x - mark.a.x, mark.b.y - mark.a.y) > 0.5) {
        this.marks.push(mark);
        if (this.marks.length > most) this.marks.shift();
        this.relist();
      }
    }
    this.changed();
  }

  cancel(): boolean {
    if (!this.open) return false;
    this.open = undefined;
    this.changed();
    return true;
  }

  removeLast(): void {
    this.remove(this.marks.length - 1);
  }

  removeAll(): void {
    this.open = undefined;
    this.marks.length = 0;
    this.relist();
    this.changed();
  }

  private remove(i: number): void {
    if (i < 0) return;
    this.marks.splice(i, 1);
    this.relist();
    this.changed();
  }

  private words(m: Mark): string {
    const header = this.pictures.headerOf(m.frame);
    const d: Distance | undefined = header && distance(header, this.pictures.frameOf(m.frame), m.a, m.b);
    if (!d) return text("cine.measure.uncalibrated");
    return text(d.detector ? "cine.measure.detector" : "cine.measure.mm", d.millimetres.toFixed(1));
  }

  private relist(): void {
    this.list.hidden = this.marks.length === 0;
    this.list.replaceChildren(...this.marks.map((m, i) => {
      const li = document.createElement("li");
      const words = document.createElement("span");
      words.className = "num";
      words.textContent = text("cine.measure.item", m.frame + 1, this.words(m));
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small quiet";
      button.textContent = "×";
      button.setAttribute("aria-label", text("cine.measure.remove", words.textContent));
      button.addEventListener("click", () => this.remove(i));
      li.append(words, button);
      return li;
    }));
  }

  /** Draws those of a frame; m leads from the picture to CSS pixels of a stage that is so wide. */
  draw(frame: number, m: Matrix, width: number): void {
    const parts: SVGElement[] = [];
    for (const mark of this.open ? [...this.marks, this.open] : this.marks) {
      if (mark.frame !== frame) continue;
      const a = apply(m, mark.a);
      const b = apply(m, mark.b);
      for (const kind of ["shade", "line"]) {
        parts.push(make("line", { class: kind, x1: a.x, y1: a.y, x2: b.x, y2: b.y }));
        for (const p of [a, b]) parts.push(make("path", { class: kind, d: `M${p.x - 6} ${p.y}h12M${p.x} ${p.y - 6}v12` }));
      }
      const [left, right] = a.x > b.x ? [b, a] : [a, b];
      const words = right.x > width - 130
        ? make("text", { x: left.x - 8, y: left.y + 4, "text-anchor": "end" })
        : make("text", { x: right.x + 8, y: right.y + 4 });
      words.textContent = this.words(mark);
      parts.push(words);
    }
    if (this.cross) {
      const p = apply(m, this.cross);
      for (const kind of ["shade", "cross"]) parts.push(make("path", { class: kind, d: `M${p.x - 14} ${p.y}h28M${p.x} ${p.y - 14}v28` }));
    }
    if (parts.length > 0 || this.layer.childElementCount > 0) this.layer.replaceChildren(...parts);
  }
}

function make(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const e = document.createElementNS(svg, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}
