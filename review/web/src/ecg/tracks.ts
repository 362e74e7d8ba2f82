// Which leads there are, and where their samples lie: as the server's renderer collects them (ecgout/draw).

import { exact, type Group, type Recording } from "./recording";

export const STANDARD = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
export const CABRERA = ["aVL", "I", "-aVR", "II", "aVF", "III", "V1", "V2", "V3", "V4", "V5", "V6"];

/** What is longer is no lead's name; the foot of the paper must hold a dozen. */
const MAX_NAME = 24;

/** Where a lead's samples are. Times are seconds on the recording's time line. */
export interface Source {
  group: number;
  lead: number;
  at: number; // of the time line's sample 0
  rate: number; // Hz
  from: number;
  to: number;
}

/** All that is recorded of one lead: in one group, or in several that follow each other. */
export interface Track {
  name: string;
  sign: 1 | -1; // −1 for a lead drawn upside down
  derived: boolean;
  derivedBy: string;
  sources: Source[];
}

export interface Tracks {
  byName: Map<string, Track>;
  order: string[];
  other: string[]; // leads that are no voltages
  from: number;
  to: number;
}

/** The leads of some groups. Stored samples go before derived ones of another group. */
export function collect(rec: Recording, wanted: (g: Group, index: number) => boolean): Tracks {
  const ts: Tracks = { byName: new Map(), order: [], other: [], from: Infinity, to: -Infinity };
  rec.groups.forEach((g, group) => {
    const rate = exact(g.rate_hz);
    if (!wanted(g, group) || !(rate > 0) || g.samples <= 0) return;
    const seen = new Set<string>();
    g.leads.forEach((l, lead) => {
      if (l.samples <= 0) return;
      const called = l.name.slice(0, MAX_NAME);
      if (l.unit !== "uV") {
        ts.other.push(called);
        return;
      }
      let name = called;
      for (let n = 2; seen.has(name); n++) name = called + " #" + n; // a name twice in one group is two leads
      seen.add(name);
      const at = (exact(g.start_ms) + exact(l.skew_ms)) / 1000;
      const source = { group, lead, at, rate, from: at + l.start / rate, to: at + (l.start + l.samples) / rate };
      const t = ts.byName.get(name);
      if (!t) {
        ts.byName.set(name, { name, sign: 1, derived: l.derived, derivedBy: l.derived_by ?? "", sources: [source] });
        ts.order.push(name);
      } else if (t.derived && !l.derived) {
        t.sources = [source];
        t.derived = false;
      } else if (t.derived === l.derived) {
        t.sources.push(source);
      }
      ts.from = Math.min(ts.from, source.from);
      ts.to = Math.max(ts.to, source.to);
    });
  });
  return ts;
}

/** The track of a name; of −aVR where aVR alone is there, aVR upside down, and the reverse. */
export function trackOf(ts: Tracks, name: string): Track | null {
  const t = ts.byName.get(name);
  if (t) return t;
  for (const [want, have] of [["-aVR", "aVR"], ["aVR", "-aVR"]] as const) {
    const other = ts.byName.get(have);
    if (name === want && other) return { ...other, name, sign: -1 };
  }
  return null;
}

/** The leads beyond the twelve, in the order of the file. */
export function extra(ts: Tracks): string[] {
  return ts.order.filter((name) => !STANDARD.includes(name) && name !== "-aVR");
}

/** How many of the standard leads are there. */
export function twelve(ts: Tracks): number {
  return STANDARD.filter((name) => trackOf(ts, name)).length;
}

/** Whether a track has samples within [from, to). */
export function covers(t: Track, from: number, to: number): boolean {
  return t.sources.some((s) => s.from < to - 1e-9 && s.to > from + 1e-9);
}

/** n leads for the strips: those wanted, then the usual ones, then any. */
export function rhythmLeads(ts: Tracks, want: string[], n: number): string[] {
  const out: string[] = [];
  for (const name of [...want, "II", "V1", "V5", "I", ...ts.order]) {
    if (out.length < n && !out.includes(name) && trackOf(ts, name)) out.push(name);
  }
  return out;
}

/** A choice of what to look at: all groups of a kind on one time line, or one group of several. */
export interface View {
  key: string;
  kind: "rhythm" | "full-disclosure";
  group: number; // -1 for all of the kind
  tracks: Tracks;
}

/** What can be looked at, the rhythm first. Median beats are not among them: they are no rhythm. */
export function views(rec: Recording): View[] {
  const out: View[] = [];
  for (const kind of ["rhythm", "full-disclosure"] as const) {
    const tracks = collect(rec, (g) => g.kind === kind);
    if (tracks.order.length === 0) continue;
    out.push({ key: kind, kind, group: -1, tracks });
    const groups = rec.groups.flatMap((g, i) => (g.kind === kind ? [i] : []));
    if (groups.length < 2) continue;
    for (const group of groups) {
      const one = collect(rec, (_, i) => i === group);
      if (one.order.length > 0) out.push({ key: kind + "-" + group, kind, group, tracks: one });
    }
  }
  return out;
}
