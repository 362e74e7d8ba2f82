// What is said about a picture, on the picture.

import { text } from "../frame/text";
import { type DisplayFilters, effective } from "./filters";
import { type Asked, notDrawn, type Plan } from "./layout";
import type { Foot } from "./paper";
import { exact, type Recording } from "./recording";
import { clock, decimal } from "./scale";
import type { Drawn } from "./series";
import type { Tracks } from "./tracks";

/** The filters of the display in words, and those that do nothing at the rate. */
function filterWords(f: DisplayFilters, rate: number): { on: string[]; idle: string[] } {
  const e = effective(f, rate);
  const on: string[] = [];
  const idle: string[] = [];
  const add = (words: string, asked: number, used: number) => {
    if (asked > 0) (used > 0 ? on : idle).push(words);
  };
  add(text("ecg.js.high", f.highPassHz), f.highPassHz, e.highPassHz);
  add(text("ecg.js.low", f.lowPassHz), f.lowPassHz, e.lowPassHz);
  add(text("ecg.js.notch", f.notchHz), f.notchHz, e.notchHz);
  return { on, idle };
}

/** What acted before the samples were stored, where all leads agree; by lead where they do not. */
export function recordedBand(rec: Recording, ts: Tracks): string {
  const of = (name: string): string => {
    const s = ts.byName.get(name)!.sources[0]!;
    const f = rec.groups[s.group]!.leads[s.lead]!.filters;
    if (!f) return "";
    const parts: string[] = [];
    const high = f.high_pass_hz && decimal(exact(f.high_pass_hz), 3);
    const low = f.low_pass_hz && decimal(exact(f.low_pass_hz), 3);
    if (high && low) parts.push(`${high}–${low} Hz`);
    else if (high || low) parts.push(high ? `≥ ${high} Hz` : `≤ ${low} Hz`);
    if (f.notch_hz) parts.push(text("ecg.js.notch", decimal(exact(f.notch_hz), 3)));
    if (f.text) parts.push(f.text.slice(0, 80));
    return parts.join(", ");
  };
  const bands = new Map<string, string[]>();
  for (const name of ts.order) bands.set(of(name), [...(bands.get(of(name)) ?? []), name]);
  if (bands.size === 1) {
    const only = [...bands.keys()][0]!;
    return only ? text("ecg.js.recorded", only) : text("ecg.js.recorded.not");
  }
  return text("ecg.js.recorded", [...bands].slice(0, 4).map(([band, names]) => `${band || "?"} (${names.join(" ")})`).join("; "));
}

/** What stands below a plan. */
export function footOf(rec: Recording, ts: Tracks, p: Plan, drawn: Drawn[], filters: DisplayFilters, asked: Asked, spikes: boolean): Foot {
  const rates = new Set(ts.order.flatMap((name) => ts.byName.get(name)!.sources.map((s) => s.rate)));
  const { on, idle } = filterWords(filters, Math.min(...rates));
  const notes = [recordedBand(rec, ts), ...idle.map((words) => text("ecg.js.noeffect", words))];
  const list = (key: "ecg.js.missing" | "ecg.js.notdrawn" | "ecg.js.shifted" | "ecg.js.beyond", names: string[]) => {
    if (names.length > 0) notes.push(text(key, [...new Set(names)].slice(0, 24).join(", ") + (names.length > 24 ? " …" : "")));
  };
  list("ecg.js.missing", p.cells.filter((c) => !c.track).map((c) => c.name));
  list("ecg.js.notdrawn", [...notDrawn(ts, p), ...ts.other]);
  list("ecg.js.shifted", drawn.filter((d) => d.shift !== 0).map((d) => `${d.cell.name} ${d.shift > 0 ? "+" : "−"}${decimal(Math.abs(d.shift), 2)} mV`));
  list("ecg.js.beyond", drawn.filter((d) => beyond(d, p, asked.gain)).map((d) => d.cell.name));
  if (p.cells.some((c) => c.track?.derived && !c.track.derivedBy.startsWith("device"))) notes.push(text("ecg.js.derived"));
  if (spikes) notes.push(text("ecg.js.spikes"));
  const rate = [...rates].map((r) => decimal(r, 3) + " Hz").join(", ");
  const shown = text("ecg.js.of", clock(p.start, p.total), clock(p.start + p.shown, p.total), clock(p.total, p.total));
  const at = rec.acquired.at && p.layout !== "median" ? wallClock(rec.acquired.at, p.from + p.start) : "";
  return {
    scale: `${asked.speed} mm/s   ${asked.gain} mm/mV` + (on.length > 0 ? "" : "   " + text("ecg.js.off")),
    right: [at, p.layout === "median" ? "" : shown, rate].filter(Boolean).join("   "),
    warning: on.length > 0 ? text("ecg.js.filtered", on.join(", ")) : "",
    notes: notes.filter(Boolean).map((note) => (note.length > 240 ? note.slice(0, 240) + " …" : note)),
  };
}

function beyond(d: Drawn, p: Plan, gain: number): boolean {
  const top = d.cell.y / gain;
  const low = (d.cell.y - p.height) / gain;
  return d.series.some((s) => s.mv.some((mv) => mv + d.shift > top || mv + d.shift < low));
}

/** The clock of the recording's own place at the left end: its zone, if any, is not turned into another. */
export function wallClock(acquired: string, after: number): string {
  const m = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)/.exec(acquired);
  if (!m) return "";
  const [y, mo, d, h, mi, s] = m.slice(1).map(Number) as [number, number, number, number, number, number];
  return new Date(Date.UTC(y, mo - 1, d, h, mi, s) + after * 1000).toISOString().slice(0, 19).replace("T", " ");
}

/** Where the device measured on its median beat, s. */
export function fiducials(rec: Recording): { t: number }[] {
  const kinds = ["p-onset", "p-offset", "qrs-onset", "qrs-offset", "t-offset"];
  return rec.measurements
    .filter((m) => kinds.includes(m.kind ?? "") && m.value !== undefined && m.unit === "ms" && !m.lead)
    .map((m) => ({ t: exact(m.value) / 1000 }));
}
