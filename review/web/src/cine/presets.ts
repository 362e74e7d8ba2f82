// Windows to choose from: those of the header, all values, and the usual ones of CT.

import type { Module } from "./module";
import { type Bits, fullWindow, type VOI } from "./pixels";

export interface Preset {
  readonly key: string; // "own", "window:1", "table:0", "full", "ct:lung"
  readonly label: string;
}

/** Centre and width of usual CT windows, Hounsfield units. */
const ct: Readonly<Record<string, readonly [number, number]>> = {
  abdomen: [60, 400], lung: [-600, 1500], mediastinum: [40, 400], bone: [480, 2500], brain: [40, 80], liver: [90, 150],
};

export function presets(m: Module, modality: string, text: (key: string, ...args: (string | number)[]) => string): Preset[] {
  const out: Preset[] = [{ key: "own", label: text("cine.preset.own") }];
  m.windows.forEach((w, i) => {
    if (i > 0 || w.name) out.push({ key: `window:${i}`, label: w.name || text("cine.preset.window", i + 1) });
  });
  m.voi.forEach((t, i) => out.push({ key: `table:${i}`, label: t.name || text("cine.preset.table", i + 1) }));
  out.push({ key: "full", label: text("cine.preset.full") });
  if (modality === "CT") for (const name of Object.keys(ct)) out.push({ key: `ct:${name}`, label: text("cine.preset.ct." + name) });
  return out;
}

/** What a preset means for a frame; undefined for what the image itself asks for. */
export function chosen(key: string, m: Module, bits: Bits): VOI | undefined {
  const [kind, rest] = key.split(":");
  if (kind === "window") return m.windows[Number(rest)];
  if (kind === "table") return m.voi[Number(rest)];
  if (kind === "full") return fullWindow(m, bits);
  const w = kind === "ct" ? ct[rest ?? ""] : undefined;
  return w && { center: w[0], width: w[1], fn: "LINEAR" };
}
