// Recordings for tests.
import assert from "node:assert/strict";
import type { Group, Lead, Recording } from "../recording";

export function lead(name: string, samples: number, more: Partial<Lead> = {}): Lead {
  return { name, unit: "uV", scale: "2.5", baseline: "0", start: 0, samples, derived: false, ...more };
}

export function group(kind: Group["kind"], rate: number, seconds: number, names: string[], more: Partial<Group> = {}): Group {
  const samples = Math.round(rate * seconds);
  return { kind, rate_hz: String(rate), start_ms: "0", samples, window: 1 << 16, leads: names.map((n) => lead(n, samples)), ...more };
}

export function recording(...groups: Group[]): Recording {
  return { acquired: { zone_known: false }, groups, measurements: [], spikes: 0 };
}

export function near(got: number | undefined, want: number, by: number, what = ""): void {
  assert(got !== undefined && Math.abs(got - want) <= by, `${what} ${got}, want ${want} ± ${by}`);
}
