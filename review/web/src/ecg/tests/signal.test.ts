import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, march, measure, snap, valueAt, voltage } from "../calipers";
import { apply, effective, OFF, paperFilter } from "../filters";
import { middleHeights } from "../overview";
import { exact, isMissing, readOverview, readWindow } from "../recording";
import { near } from "./make";

const RATE = 500;

/** Amplitude and phase of a sine of a frequency after a filter, from the middle of ten seconds. */
function response(hz: number, f: Partial<typeof OFF>, offset = 0): { gain: number; phase: number } {
  const v = new Float64Array(20 * RATE);
  for (let i = 0; i < v.length; i++) v[i] = offset + Math.sin((2 * Math.PI * hz * i) / RATE);
  apply({ ...OFF, ...f }, v, RATE);
  let re = 0;
  let im = 0;
  let n = 0;
  for (let i = 5 * RATE; i < 15 * RATE; i++, n++) {
    re += v[i]! * Math.sin((2 * Math.PI * hz * i) / RATE);
    im += v[i]! * Math.cos((2 * Math.PI * hz * i) / RATE);
  }
  return { gain: (2 * Math.hypot(re, im)) / n, phase: Math.atan2(im, re) };
}

test("filters have −3 dB at their edge, pass the band and move nothing in time", () => {
  const half = Math.SQRT1_2;
  for (const hz of [40, 100, 150]) near(response(hz, { lowPassHz: hz }).gain, half, 0.01, `low pass ${hz}`);
  near(response(0.5, { highPassHz: 0.5 }).gain, half, 0.01, "high pass 0.5");
  near(response(10, { lowPassHz: 40 }).gain, 1, 0.01);
  near(response(10, { highPassHz: 0.5 }).gain, 1, 0.01);
  near(response(10, { highPassHz: 0.05 }).gain, 1, 0.01);
  near(response(10, { notchHz: 50 }).gain, 1, 0.01);
  assert(response(200, { lowPassHz: 40 }).gain < 0.01);
  for (const hz of [50, 60]) assert(response(hz, { notchHz: hz }).gain < 0.01);
  for (const f of [{ lowPassHz: 40 }, { highPassHz: 0.5 }, { notchHz: 50 }]) near(response(10, f).phase, 0, 0.01);
});

test("a level stays, but for the high pass", () => {
  const level = (f: Partial<typeof OFF>) => {
    const v = new Float64Array(10 * RATE).fill(4);
    apply({ ...OFF, ...f }, v, RATE);
    return [v[0]!, v[2500]!, v[4999]!];
  };
  for (const x of level({ lowPassHz: 40, notchHz: 50 })) near(x, 4, 1e-6);
  for (const x of level({ highPassHz: 0.5 })) near(x, 0, 1e-6);
});

test("missing samples stay missing, and off changes nothing", () => {
  const v = new Float64Array(1000).map((_, i) => (i > 400 && i < 500 ? NaN : Math.sin(i / 7)));
  const before = v.slice();
  apply(OFF, v, RATE);
  assert.deepEqual(v, before);
  apply({ ...OFF, lowPassHz: 40 }, v, RATE);
  for (let i = 0; i < v.length; i++) assert.equal(Number.isNaN(v[i]), i > 400 && i < 500);
  assert(v[10] !== before[10]);
  const alone = new Float64Array([NaN, 1, NaN]);
  apply({ ...OFF, lowPassHz: 40 }, alone, RATE);
  assert.equal(alone[1], 1);
});

test("filters that a rate has no room for are none", () => {
  assert.deepEqual(effective({ highPassHz: 0.5, lowPassHz: 100, notchHz: 50 }, 100), { highPassHz: 0.5, lowPassHz: 0, notchHz: 0 });
  assert.equal(paperFilter({ highPassHz: 0.05, lowPassHz: 40, notchHz: 50 }), "hp0.05,lp40,notch50");
  assert.equal(paperFilter(OFF), "");
});

test("calipers read ms, bpm and mV", () => {
  const r = measure({ t: 1.2, mv: 0 }, { t: 2.012, mv: 1.02 });
  near(r.ms, 812, 1e-6);
  near(r.bpm!, 73.89, 0.01);
  near(r.mv, 1.02, 1e-12);
  assert.equal(measure({ t: 2, mv: 0 }, { t: 1, mv: 0 }).bpm, 60); // in any order
  assert.equal(measure({ t: 1, mv: 0 }, { t: 1, mv: 1 }).bpm, null);
  assert.equal(describe(r), "812 ms · 73.9 bpm · +1.02 mV");
  assert.equal(describe(measure({ t: 0, mv: 0.05 }, { t: 0, mv: 0 })), "0 ms · −50 µV");
  assert.equal(voltage(-1.5), "−1.5 mV");
  assert.equal(voltage(0), "0 µV");
});

test("marching out", () => {
  assert.deepEqual(march(2, 3, 0, 5).map((t) => Number(t.toFixed(6))), [0, 1, 4, 5]);
  assert.deepEqual(march(3, 2, 0, 5).length, 4);
  assert.deepEqual(march(2, 2, 0, 5), []);
  assert.deepEqual(march(2, 2.001, 0, 10), []); // not ten thousand lines
});

test("snapping finds the peak, upright or not, and only when it is near", () => {
  const mv = new Float64Array(1000).map((_, i) => Math.exp(-(((i - 300) / 6) ** 2)) - 0.8 * Math.exp(-(((i - 700) / 6) ** 2)));
  const s = [{ t0: 5, rate: RATE, mv }];
  near(snap(s, 5 + 310 / RATE)!.t, 5 + 300 / RATE, 1e-9);
  near(snap(s, 5 + 310 / RATE)!.mv, 1, 1e-9);
  near(snap(s, 5 + 690 / RATE)!.t, 5 + 700 / RATE, 1e-9);
  near(snap(s, 5 + 500 / RATE)!.t, 5 + 500 / RATE, 1e-9); // level: where it is
  assert.equal(snap(s, 99), null);
  assert.equal(valueAt([{ t0: 0, rate: RATE, mv: new Float64Array([NaN]) }], 0), null);
});

function windowBytes(): ArrayBuffer {
  const b = new ArrayBuffer(24 + 4 + 2 * 8 + 1);
  const v = new DataView(b);
  [..."ECGW"].forEach((c, i) => v.setUint8(i, c.charCodeAt(0)));
  v.setUint32(4, 2, true);
  v.setUint32(8, 3, true);
  v.setUint32(12, 2, true);
  v.setBigUint64(16, 4096n, true);
  v.setUint8(25, 1);
  [1, -2, 32767].forEach((x, i) => v.setInt16(28 + 2 * i, x, true));
  [-32768, 0, 7].forEach((x, i) => v.setInt16(36 + 2 * i, x, true));
  v.setUint8(44, 0b010);
  return b;
}

test("windows of samples", () => {
  const w = readWindow(windowBytes());
  assert.deepEqual([w.from, w.count], [4096, 3]);
  assert.deepEqual(w.counts.map((c) => [...c]), [[1, -2, 32767], [-32768, 0, 7]]);
  assert.deepEqual([0, 1, 2].map((i) => isMissing(w, 1, i)), [false, true, false]);
  assert.equal(isMissing(w, 0, 1), false);
});

test("what is no window is refused", () => {
  const good = windowBytes();
  for (let n = 0; n < good.byteLength; n++) assert.throws(() => readWindow(good.slice(0, n)));
  for (const [at, value] of [[0, 0], [4, 255], [8, 255], [12, 3], [7, 255], [11, 255]] as const) {
    const bad = good.slice(0);
    new DataView(bad).setUint8(at, value);
    assert.throws(() => readWindow(bad));
  }
});

test("overviews", () => {
  const b = new ArrayBuffer(16 + 16);
  const v = new DataView(b);
  [..."ECGO"].forEach((c, i) => v.setUint8(i, c.charCodeAt(0)));
  v.setUint32(4, 2, true);
  v.setBigUint64(8, 43200n, true);
  [-5, 5, 1, 0].forEach((x, i) => v.setInt32(16 + 4 * i, x, true));
  const o = readOverview(b);
  assert.deepEqual([o.each, [...o.pieces]], [43200, [-5, 5, 1, 0]]);
  assert.deepEqual(middleHeights(o, 2.5), [[-1, 1], [1, 0]]);
  assert.throws(() => readOverview(b.slice(0, 20)));
});

test("exact numbers", () => {
  assert.equal(exact("2.5"), 2.5);
  near(exact("1/3"), 1 / 3, 1e-15);
  assert.equal(exact(undefined), 0);
});
