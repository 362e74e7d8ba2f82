// A plan on a canvas: grid, calibration pulse, traces, labels, and below it what it was drawn with.

import type { Plan } from "./layout";
import { above, along } from "./scale";
import type { Drawn } from "./series";
import { Thinner } from "./trace";

/** What is written below the grid. */
export interface Foot {
  scale: string; // speed and gain
  right: string; // which part of the recording
  warning: string; // display filters that are on, or ""
  notes: string[];
}

/** A pacemaker's spike, s on the recording's time line; lead "" is all. */
export interface Spike {
  t: number;
  lead: string;
}

export interface Words {
  notRecorded: string;
  noSamples: string;
}

const INK = { fine: "#f6d3d3", major: "#e5a3a3", trace: "#101418", label: "#101418", faint: "#5c5250", pulse: "#101418", mark: "#0a58a6", alert: "#a81e17" };
const SANS = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Droid Sans Fallback", sans-serif';
const LABEL_MM = 3.4;
const SMALL_MM = 2.7;
const LINE_MM = 4;

/** A line below the grid. */
interface Line {
  text: string;
  colour: string;
  size: number;
  bold: boolean;
  right: string; // at the other end
}

/** A canvas whose size is in millimetres. */
export class Paper {
  private px = 1; // device pixels of a millimetre

  constructor(readonly canvas: HTMLCanvasElement, private readonly words: Words) {}

  /** Draws everything. cssPx is CSS pixels a millimetre, density device pixels for each of those. */
  draw(plan: Plan, drawn: Drawn[], spikes: Spike[], marks: { t: number }[], foot: Foot, speed: number, gain: number, cssPx: number, density: number): void {
    const g = this.canvas.getContext("2d", { alpha: false })!;
    const lines = this.lines(g, plan.width - 2, foot);
    const height = plan.height + 2 + LINE_MM * lines.length;
    const box = this.canvas.parentElement!;
    this.px = cssPx * density;
    // Down: printed paper that is a hair wider than its pixels keeps its scale, which is rounded down.
    this.canvas.width = Math.floor(plan.width * this.px);
    this.canvas.height = Math.floor(height * this.px);
    for (const [key, mm] of [["w", plan.width], ["h", height]] as const) {
      box.style.setProperty(`--paper-${key}`, mm * cssPx + "px");
      box.style.setProperty(`--paper-${key}-mm`, mm + "mm");
    }
    g.fillStyle = "#fff";
    g.fillRect(0, 0, this.canvas.width, this.canvas.height);
    g.lineJoin = "round";
    g.lineCap = "round";
    this.grid(g, plan);
    this.pulses(g, plan, speed, gain);
    g.save();
    g.beginPath();
    g.rect(0, 0, this.canvas.width, plan.height * this.px);
    g.clip();
    for (const d of drawn) this.trace(g, plan, d, speed, gain);
    this.spikes(g, plan, drawn, spikes, speed);
    this.marks(g, drawn, marks, speed);
    g.restore();
    this.foot(g, plan, lines);
  }

  private grid(g: CanvasRenderingContext2D, plan: Plan): void {
    const w = this.canvas.width;
    const h = Math.round(plan.height * this.px);
    // Whole device pixels: lines between two of them are grey and wide.
    const lines = (step: number, colour: string, wide: number) => {
      g.fillStyle = colour;
      for (let x = 0; x <= plan.width + 1e-9; x += step) g.fillRect(Math.min(w - wide, Math.round(x * this.px)), 0, wide, h);
      for (let y = 0; y <= plan.height + 1e-9; y += step) g.fillRect(0, Math.min(h - wide, Math.round(y * this.px)), w, wide);
    };
    const thin = Math.max(1, Math.round(0.1 * this.px));
    if (this.px >= 2) lines(1, INK.fine, thin);
    lines(5, INK.major, Math.max(thin, Math.round(0.2 * this.px)));
  }

  /** 1 mV for 200 ms before each row; those that would overlap are left out, those higher than the paper open. */
  private pulses(g: CanvasRenderingContext2D, plan: Plan, speed: number, gain: number): void {
    const wide = along(0.2, speed);
    const every = Math.floor((gain - 0.001) / plan.pitch) + 1;
    const x = Math.max(1, (plan.pulse - wide) / 2);
    const right = Math.min(x + wide, plan.pulse - 1);
    plan.baselines.forEach((y, i) => {
      if (i % every !== 0) return;
      const top = Math.max(0, y - gain);
      this.stroke(g, INK.pulse, 0.25, [[Math.max(0, x - 1.5), y], [x, y], [x, top]]);
      if (top === y - gain) this.stroke(g, INK.pulse, 0.25, [[x, top], [right, top]]);
      this.stroke(g, INK.pulse, 0.25, [[right, top], [right, y], [Math.min(right + 1.5, plan.pulse), y]]);
    });
  }

  private stroke(g: CanvasRenderingContext2D, colour: string, mm: number, points: [number, number][]): void {
    g.strokeStyle = colour;
    g.lineWidth = Math.max(1, mm * this.px);
    g.beginPath();
    points.forEach(([x, y], i) => (i ? g.lineTo(x * this.px, y * this.px) : g.moveTo(x * this.px, y * this.px)));
    g.stroke();
  }

  private write(g: CanvasRenderingContext2D, colour: string, size: number, x: number, y: number, text: string, bold = false): number {
    g.font = `${bold ? "600 " : ""}${size * this.px}px ${SANS}`;
    g.fillStyle = colour;
    g.fillText(text, x * this.px, y * this.px);
    return g.measureText(text).width / this.px;
  }

  private trace(g: CanvasRenderingContext2D, plan: Plan, d: Drawn, speed: number, gain: number): void {
    const c = d.cell;
    if (c.tick) this.stroke(g, INK.trace, 0.35, [[c.x, c.y - 3], [c.x, c.y + 3]]);
    const thin = new Thinner(Math.max(10, this.px)); // columns of a tenth of a millimetre, or of a device pixel
    for (const s of d.series) {
      for (let i = 0; i < s.mv.length; i++) {
        const mv = s.mv[i]!;
        if (Number.isNaN(mv)) thin.lift();
        else thin.add(c.x + along(s.t0 + i / s.rate - c.t0, speed), c.y - above(mv + d.shift, gain));
      }
      thin.lift();
    }
    g.strokeStyle = INK.trace;
    g.lineWidth = Math.max(1, 0.25 * this.px);
    for (const line of thin.lines) {
      g.beginPath();
      g.moveTo(line[0]! * this.px, line[1]! * this.px);
      if (line.length === 2) g.lineTo(line[0]! * this.px + 0.1, line[1]! * this.px); // a lone sample
      for (let i = 2; i < line.length; i += 2) g.lineTo(line[i]! * this.px, line[i + 1]! * this.px);
      g.stroke();
    }
    const star = c.track?.derived && !c.track.derivedBy.startsWith("device") ? "*" : "";
    const y = Math.max(LABEL_MM, c.y - Math.min(plan.pitch / 2, 14) + LABEL_MM);
    const label = c.name.replace("-aVR", "−aVR") + star;
    // White behind it: a label on a steep QRS must be read.
    g.font = `600 ${LABEL_MM * this.px}px ${SANS}`;
    g.strokeStyle = "#fff";
    g.lineWidth = 0.9 * this.px;
    g.strokeText(label, (c.x + 1.5) * this.px, y * this.px);
    const w = this.write(g, INK.label, LABEL_MM, c.x + 1.5, y, label, true);
    if (!c.track) this.write(g, INK.faint, SMALL_MM, c.x + 1.5, c.y + 0.9, this.words.notRecorded);
    else if (thin.lines.length === 0) this.write(g, INK.faint, SMALL_MM, c.x + 1.5, c.y + 0.9, this.words.noSamples);
    else if (c.own) this.write(g, INK.faint, SMALL_MM, c.x + 3 + w, y, `+${(c.t0 - plan.from).toFixed(2)} s`);
  }

  private spikes(g: CanvasRenderingContext2D, plan: Plan, drawn: Drawn[], spikes: Spike[], speed: number): void {
    for (const s of spikes) {
      for (const { cell: c } of drawn) {
        if (!c.track || s.t < c.t0 || s.t >= c.t0 + c.dur || (s.lead && s.lead !== c.name)) continue;
        const x = c.x + along(s.t - c.t0, speed);
        const y = Math.min(c.y + Math.min(plan.pitch / 2, 12), plan.height);
        this.stroke(g, INK.mark, 0.35, [[x, y - 3], [x, y]]);
      }
    }
  }

  private marks(g: CanvasRenderingContext2D, drawn: Drawn[], marks: { t: number }[], speed: number): void {
    for (const m of marks) {
      for (const { cell: c } of drawn) {
        if (!c.track || m.t < 0 || m.t > c.dur) continue;
        const x = c.x + along(m.t, speed);
        this.stroke(g, INK.mark, 0.12, [[x, c.y - 6], [x, c.y + 6]]);
      }
    }
  }

  /** The lines of the foot, broken where the paper is narrow. */
  private lines(g: CanvasRenderingContext2D, room: number, foot: Foot): Line[] {
    const out: Line[] = [];
    const add = (text: string, colour: string, size: number, bold: boolean) => {
      g.font = `${bold ? "600 " : ""}100px ${SANS}`;
      const wide = (t: string) => (g.measureText(t).width / 100) * size;
      for (const part of wrap(text, room, wide)) out.push({ text: part, colour, size, bold, right: "" });
      return wide;
    };
    const wide = add(foot.scale, INK.label, 3, true);
    if (out.length === 1 && wide(foot.scale) + wide(foot.right) + 4 < room) out[0]!.right = foot.right;
    else add(foot.right, INK.label, 3, false);
    if (foot.warning) add(foot.warning, INK.alert, 3, true);
    for (const note of foot.notes) add(note, INK.faint, SMALL_MM, false);
    return out;
  }

  private foot(g: CanvasRenderingContext2D, plan: Plan, lines: Line[]): void {
    lines.forEach((l, i) => {
      const y = plan.height + LINE_MM * (i + 1);
      this.write(g, l.colour, l.size, 1, y, l.text, l.bold);
      if (!l.right) return;
      g.textAlign = "right";
      this.write(g, l.colour, l.size, plan.width - 1, y, l.right);
      g.textAlign = "left";
    });
  }
}

/** Breaks a text into lines of at most room: at spaces, and anywhere between hanzi. */
export function wrap(text: string, room: number, wide: (t: string) => number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.match(/[\u2e80-\uffff]|[^\s\u2e80-\uffff]+|\s+/gu) ?? []) {
    if (line.trim() && wide(line + word.trimEnd()) > room) {
      lines.push(line.trim());
      line = "";
    }
    line += word;
  }
  if (line.trim()) lines.push(line.trim());
  return lines;
}
