// Where leads stand on the paper: mm, from the grid's upper left corner, downwards. The places are those of the server's
// renderer (ecgout/draw), so that a screen and a print agree.

import { CABRERA, covers, extra, rhythmLeads, STANDARD, type Track, type Tracks, trackOf, twelve } from "./tracks";

export type Layout = "3x4+1" | "3x4+3" | "3x4" | "6x2" | "12x1" | "strips" | "median";

export interface Asked {
  layout: Layout | "auto";
  cabrera: boolean;
  rhythm: string[]; // leads of the strips
  speed: number; // mm/s
  gain: number; // mm/mV
  start: number; // s after the first sample
  pageMM: number; // width that a single column may have
}

/** One lead's stretch of paper. */
export interface Cell {
  name: string;
  track: Track | null; // null: not recorded
  row: number;
  x: number; // left end
  y: number; // baseline
  w: number;
  t0: number; // s on the recording's time line, at the left end
  dur: number; // s
  tick: boolean; // something else is drawn to the left
  own: boolean; // t0 is the lead's own beginning, not that of the column
}

export interface Plan {
  layout: Layout;
  cells: Cell[];
  rows: number;
  baselines: number[];
  pitch: number; // from row to row
  width: number;
  height: number; // of the grid
  from: number; // s on the recording's time line, of the first sample
  start: number; // s after the first sample
  shown: number; // s
  total: number; // s
  pulse: number; // where traces begin
}

/** Before the traces is the calibration pulse, behind them empty grid. */
export const PULSE_MM = 15;
const RIGHT_MM = 5;

/** The width of the traces on A4: ten seconds at 25 mm/s. */
export const PAGE_MM = 250;

/** Empty paper behind a median beat, s, so that beats side by side are no rhythm. */
const BEAT_GAP = 0.2;

const MAX_ROWS = 48;

interface Spot {
  lead: string;
  strip: boolean; // as long as the row, whatever the columns
}

/** What "auto" means. */
export function choose(ts: Tracks, have: number, span: number): Layout {
  if (ts.order.length <= 2 && have > 1.2 * span) return "strips";
  if (twelve(ts) < 9 || ts.order.length > 18) return "12x1";
  const s = Math.min(have, span);
  return s >= 4.8 ? "3x4+1" : s >= 2.4 ? "6x2" : "12x1";
}

function arrange(layout: Layout, asked: Asked, ts: Tracks): { rows: Spot[][]; columns: number } {
  const order = asked.cabrera ? CABRERA : STANDARD;
  const rows: Spot[][] = [];
  let columns = 1;
  const grid = (high: number) => {
    const more = asked.layout === "auto" ? extra(ts) : [];
    const names = [...order, ...more];
    columns = Math.ceil(names.length / high);
    for (let r = 0; r < high; r++) {
      const row: Spot[] = [];
      for (let c = 0; c < columns; c++) {
        const lead = names[c * high + r];
        if (lead !== undefined) row.push({ lead, strip: false });
      }
      rows.push(row);
    }
  };
  const strips = (n: number) => rhythmLeads(ts, asked.rhythm, n).forEach((lead) => rows.push([{ lead, strip: true }]));
  switch (layout) {
    case "3x4":
    case "median":
      grid(3);
      break;
    case "3x4+1":
      grid(3);
      strips(1);
      break;
    case "3x4+3":
      grid(3);
      strips(3);
      break;
    case "6x2":
      grid(6);
      break;
    case "strips":
      // The other leads can be chosen; three rows are what a small screen has.
      (ts.order.length > 3 || asked.rhythm.length > 0 ? rhythmLeads(ts, asked.rhythm, Math.max(1, asked.rhythm.length)) : ts.order)
        .forEach((lead) => rows.push([{ lead, strip: false }]));
      break;
    default: {
      const n = twelve(ts);
      const standard = n >= 6 || (asked.layout === "12x1" && n > 2) ? order : order.filter((name) => trackOf(ts, name));
      [...standard, ...extra(ts)].slice(0, MAX_ROWS).forEach((lead) => rows.push([{ lead, strip: false }]));
    }
  }
  return { rows, columns: Math.max(1, columns) };
}

const up5 = (v: number) => Math.ceil(v / 5 - 1e-9) * 5;

/** Computes where everything stands, or null when there is no lead to draw. */
export function plan(ts: Tracks, asked: Asked): Plan | null {
  if (ts.order.length === 0) return null;
  const total = ts.to - ts.from;
  const single = Math.max(60, asked.pageMM);
  let layout = asked.layout === "auto" ? choose(ts, total, PAGE_MM / asked.speed) : asked.layout;
  const { rows, columns } = arrange(layout, asked, ts);
  const beat = layout === "median";
  let span: number;
  if (beat) {
    span = (Math.min(total, 2) + BEAT_GAP) * columns;
  } else {
    span = (columns > 1 ? PAGE_MM : single) / asked.speed;
    if (total < (columns > 1 ? 0.95 : 1) * span) span = total; // shorter columns, instead of leads that have none
  }
  const start = beat ? 0 : Math.max(0, Math.min(asked.start, total - span));
  const width = span * asked.speed;
  const n = rows.length;
  let pitch = Math.max(n > 6 ? 15 : n > 4 ? 25 : 30, asked.gain + 2);
  const height = up5(n * pitch);
  const head = n > 4 ? 4 : 0; // a strong R wave of the first row, or S of the last, gets some of the paper
  pitch = Math.floor((height - 2 * head) / n);
  const first = Math.round((height - pitch * n) / 2 + (pitch * 11) / 20); // below the middle: waves are higher than deep
  const baselines = rows.map((_, i) => first + i * pitch);
  const cells: Cell[] = [];
  rows.forEach((row, r) => row.forEach((spot, c) => {
    const t0 = ts.from + start;
    const cell: Cell = {
      name: spot.lead, track: trackOf(ts, spot.lead), row: r, x: PULSE_MM, y: baselines[r] ?? 0, w: width, t0, dur: span, tick: false, own: false,
    };
    if (!spot.strip && columns > 1) {
      cell.x += (width * c) / columns;
      cell.w = width / columns;
      cell.dur = span / columns;
      cell.t0 = beat ? t0 : t0 + c * cell.dur;
      cell.tick = c > 0 && !beat;
      if (beat) cell.dur -= BEAT_GAP;
    }
    const t = cell.track;
    if (t && start === 0 && !covers(t, cell.t0, cell.t0 + cell.dur)) {
      cell.t0 = t.sources[0]!.from; // leads that were recorded one after another
      cell.own = true;
    }
    cells.push(cell);
  }));
  return {
    layout, cells, rows: n, baselines, pitch, width: up5(PULSE_MM + width + RIGHT_MM), height, from: ts.from, start,
    shown: beat ? span / columns - BEAT_GAP : Math.min(span, total - start), total, pulse: PULSE_MM,
  };
}

/** The leads of the recording that a plan does not draw. */
export function notDrawn(ts: Tracks, p: Plan): string[] {
  return ts.order.filter((name) => !p.cells.some((c) => c.name === name || (name === "aVR" && c.name === "-aVR")));
}
