import assert from "node:assert/strict";
import { test } from "node:test";
import { OFF } from "../filters";
import { type Plan, plan } from "../layout";
import { exact } from "../recording";
import { readPlan, spikesIn } from "../series";
import { Store } from "../store";
import { views } from "../tracks";
import { group, near, recording } from "./make";

/** A server whose count of sample i of lead l is (i + l) modulo 1000. */
function serve(leads: number, length: number): { asked: string[]; fail: boolean } {
  const state = { asked: [] as string[], fail: false };
  globalThis.fetch = (async (url: string) => {
    state.asked.push(url);
    if (state.fail) return { ok: false, status: 503 };
    const q = new URL(url, "http://node").searchParams;
    const from = Number(q.get("from"));
    const count = Math.min(Number(q.get("count")), length - from);
    const each = Math.ceil((count * 2) / 4) * 4;
    const body = new ArrayBuffer(24 + Math.ceil(leads / 4) * 4 + leads * each);
    const v = new DataView(body);
    [..."ECGW"].forEach((c, i) => v.setUint8(i, c.charCodeAt(0)));
    v.setUint32(4, leads, true);
    v.setUint32(8, count, true);
    v.setUint32(12, 2, true);
    v.setBigUint64(16, BigInt(from), true);
    for (let l = 0; l < leads; l++) {
      for (let i = 0; i < count; i++) v.setInt16(24 + Math.ceil(leads / 4) * 4 + l * each + 2 * i, (from + i + l) % 1000, true);
    }
    return { ok: true, arrayBuffer: async () => body };
  }) as unknown as typeof fetch;
  return state;
}

const NAMES = ["I", "II", "V1"];

test("a day is looked at piece by piece, and little of it is kept", async () => {
  const rec = recording(group("full-disclosure", 200, 24 * 3600, NAMES));
  rec.groups[0]!.window = Math.floor((1 << 20) / 3);
  const server = serve(3, rec.groups[0]!.samples);
  const store = new Store("", rec);
  for (let hour = 0; hour < 24; hour++) {
    for (let minute = 0; minute < 60; minute += 5) {
      const from = (hour * 3600 + minute * 60) * 200 + 17;
      const v = await store.values(0, 2, from, from + 2000, 2.5, 1);
      assert.equal(v.length, 2000);
      for (const i of [0, 999, 1999]) near(v[i], ((from + i + 2) % 1000) * 2.5 + 1, 1e-9);
    }
  }
  const held = (store as unknown as { held: number }).held;
  assert(held > 0 && held <= 16 << 20, String(held));
  const asked = server.asked.length;
  const last = (23 * 3600 + 55 * 60) * 200;
  await store.values(0, 0, last, last + 100, 1, 0);
  assert.equal(server.asked.length, asked); // it is still there, for every lead
});

test("what failed is asked for again", async () => {
  const rec = recording(group("rhythm", 500, 10, NAMES));
  const server = serve(3, 5000);
  const store = new Store("", rec);
  server.fail = true;
  let failed = false;
  await store.values(0, 0, 0, 100, 1, 0).catch(() => (failed = true));
  assert(failed);
  server.fail = false;
  near((await store.values(0, 0, 0, 100, 1, 0))[42], 42, 0);
});

test("a plan has the samples of its stretch, filtered or not", async () => {
  const rec = recording(group("rhythm", 500, 10, NAMES));
  serve(3, 5000);
  const store = new Store("", rec);
  const p = plan(views(rec)[0]!.tracks, { layout: "auto", cabrera: false, rhythm: [], speed: 50, gain: 10, start: 3, pageMM: 250 })!;
  const drawn = await readPlan(rec, store, p, OFF, 10);
  assert.equal(drawn.length, 3);
  const s = drawn[1]!.series[0]!;
  near(s.t0, 3, 1e-9);
  assert.equal(s.mv.length, 2501); // five seconds, both ends
  near(s.mv[0], (1501 % 1000) * exact("2.5") / 1000, 1e-9);
  const smooth = await readPlan(rec, store, p, { ...OFF, lowPassHz: 40 }, 10);
  assert.equal(smooth[1]!.series[0]!.mv.length, 2501);
  near(smooth[1]!.series[0]!.t0, 3, 1e-9);
  assert(smooth[1]!.series[0]!.mv[499] !== s.mv[499]); // the sawtooth's edge
});

test("spikes are asked for where a lead is drawn, not between", async () => {
  const rec = { ...recording(group("rhythm", 500, 10, NAMES)), spikes: 3 };
  const asked: string[] = [];
  globalThis.fetch = (async (url: string) => {
    asked.push(url);
    const from = Number(new URL(url, "http://node").searchParams.get("from"));
    return { ok: true, arrayBuffer: async () => new TextEncoder().encode(JSON.stringify([[from + 1000, ""], [from + 59_000, "II"]])).buffer };
  }) as unknown as typeof fetch;
  const day = 86_400; // the second lead was recorded a thousand days later
  const cells = [{ t0: 0, dur: 10 }, { t0: 0, dur: 10 }, { t0: 1000 * day, dur: 10 }, { t0: 55, dur: 10 }];
  const found = await spikesIn(new Store("", rec), { cells } as unknown as Plan);
  assert.deepEqual(found.map((s) => s.t).sort((a, b) => a - b), [1, 59, 61, 1000 * day + 1]);
  assert.equal(asked.length, 3);
});
