// The samples of each cell of a plan, as they are drawn.

import type { Series } from "./calipers";
import { apply, type DisplayFilters, isOn, margin } from "./filters";
import type { Cell, Plan } from "./layout";
import type { Spike } from "./paper";
import { exact, type Recording } from "./recording";
import type { Store } from "./store";
import { shiftOf } from "./trace";

/** A cell with its samples. */
export interface Drawn {
  cell: Cell;
  series: Series[]; // mV, upside down where the cell is
  shift: number; // mV by which the trace is brought back to its row
}

/** Reads what a plan shows. */
export function readPlan(rec: Recording, store: Store, plan: Plan, filters: DisplayFilters, gain: number): Promise<Drawn[]> {
  return Promise.all(plan.cells.map(async (cell) => {
    const track = cell.track;
    const series: Series[] = [];
    for (const s of track?.sources ?? []) {
      const lead = rec.groups[s.group]!.leads[s.lead]!;
      const scale = (exact(lead.scale) / 1000) * track!.sign;
      const offset = (exact(lead.baseline) / 1000) * track!.sign;
      const eps = 1e-6; // of a sample: times are sums of floats
      const clamp = (n: number) => Math.max(lead.start, Math.min(lead.start + lead.samples, n));
      const from = clamp(Math.ceil((cell.t0 - s.at) * s.rate - eps));
      const to = clamp(Math.floor((cell.t0 + cell.dur - s.at) * s.rate + eps) + 1);
      if (from >= to) continue;
      const more = isOn(filters) ? Math.ceil(margin(filters) * s.rate) : 0;
      const first = clamp(from - more);
      const all = await store.values(s.group, s.lead, first, clamp(to + more), scale, offset);
      if (more > 0) apply(filters, all, s.rate);
      series.push({ t0: s.at + from / s.rate, rate: s.rate, mv: all.slice(from - first, to - first) });
    }
    return { cell, series, shift: shiftOf(series.map((x) => x.mv), gain) };
  }));
}

/** The pacemaker's spikes of what is shown. Leads may have been recorded hours apart: each stretch is asked for by itself. */
export async function spikesIn(store: Store, p: Plan): Promise<Spike[]> {
  const found = new Map<string, Spike>();
  const stretches = new Map(p.cells.map((c) => [c.t0 + " " + c.dur, c]));
  await Promise.all([...stretches.values()].map(async (c) => {
    for (const [t, lead] of await store.spikes(c.t0, c.t0 + c.dur)) {
      if (t >= c.t0 && t < c.t0 + c.dur) found.set(t + " " + lead, { t, lead });
    }
  }));
  return [...found.values()];
}
