import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asked, type Layout, plan } from "../layout";
import { wrap } from "../paper";
import { above, along, clock, decimal, fromKept, NOMINAL, seconds, toKeep } from "../scale";
import { collect, STANDARD, trackOf, views } from "../tracks";
import { shiftOf, Thinner } from "../trace";
import { group, lead, near, recording } from "./make";

const asked = (layout: Layout | "auto", more: Partial<Asked> = {}): Asked => ({
  layout, cabrera: false, rhythm: ["II"], speed: 25, gain: 10, start: 0, pageMM: 250, ...more,
});
const rhythm = (seconds = 10, names = STANDARD) => collect(recording(group("rhythm", 500, seconds, names)), () => true);

test("millimetres of time and voltage", () => {
  for (const [speed, mm] of [[12.5, 12.5], [25, 25], [50, 50], [100, 100]] as const) assert.equal(along(1, speed), mm);
  for (const [gain, mm] of [[5, 7.5], [10, 15], [20, 30]] as const) assert.equal(above(1.5, gain), mm);
  near(NOMINAL, 3.7795, 0.0001);
});

test("a calibration survives zooming and refuses nonsense", () => {
  const kept = toKeep(342.4, 2); // 4 CSS pixels a millimetre at ratio 2
  near(fromKept(kept, 2)!, 4, 1e-9);
  near(fromKept(kept, 4)!, 2, 1e-9); // zoomed in: a CSS pixel is twice as large
  for (const bad of [null, "", "x", "NaN", "-3", "Infinity", "0", "1e9"]) assert.equal(fromKept(bad, 1), null);
  assert.equal(fromKept(kept, 0), null);
});

test("times in words and back", () => {
  assert.equal(clock(2.5, 10), "2.5 s");
  assert.equal(clock(11229.5, 86400), "3:07:09.5");
  assert.equal(clock(59.96, 86400), "0:01:00");
  assert.equal(seconds("3:07:09.5"), 11229.5);
  assert.equal(seconds("7：09"), 429);
  assert.equal(seconds(" 9.5 "), 9.5);
  for (const bad of ["", "a", "1:2:3:4", "-1", "1e3", "1::2", "12345678"]) assert.equal(seconds(bad), null, bad);
  assert.equal(decimal(1.5, 2), "1.5");
});

test("3x4+1 has four columns of 2.5 s and a strip of ten", () => {
  const p = plan(rhythm(), asked("auto"))!;
  assert.equal(p.layout, "3x4+1");
  assert.equal(p.cells.length, 13);
  assert.equal(p.rows, 4);
  const at = (name: string) => p.cells.find((c) => c.name === name)!;
  assert.equal(at("I").x, 15);
  near(at("V1").x, 15 + 125, 1e-9);
  near(at("V1").t0, 5, 1e-9);
  near(at("V6").w, 62.5, 1e-9);
  near(at("V6").dur, 2.5, 1e-9);
  assert.equal(at("III").row, 2);
  const strip = p.cells.at(-1)!;
  assert.deepEqual([strip.name, strip.x, strip.w, strip.t0, strip.dur, strip.tick], ["II", 15, 250, 0, 10, false]);
  assert.equal(p.width, 270);
  for (const y of p.baselines) assert.equal(y, Math.round(y)); // rows lie on the grid
});

test("layouts place every lead once", () => {
  for (const [layout, cells, rows] of [["3x4", 12, 3], ["3x4+3", 15, 6], ["6x2", 12, 6], ["12x1", 12, 12], ["strips", 1, 1]] as const) {
    const p = plan(rhythm(), asked(layout))!;
    assert.deepEqual([p.layout, p.cells.length, p.rows], [layout, cells, rows]);
    assert.equal(new Set(p.cells.map((c) => c.x + " " + c.y)).size, cells);
    for (const c of p.cells) assert(c.x >= 15 && c.x + c.w <= p.width && c.y > 0 && c.y < p.height);
  }
  const six = plan(rhythm(), asked("6x2"))!;
  near(six.cells.find((c) => c.name === "V1")!.t0, 5, 1e-9);
});

test("Cabrera's order, with aVR upside down", () => {
  const p = plan(rhythm(), asked("6x2", { cabrera: true }))!;
  assert.deepEqual(p.cells.filter((c) => c.x === 15).map((c) => c.name), ["aVL", "I", "-aVR", "II", "aVF", "III"]);
  assert.equal(p.cells.find((c) => c.name === "-aVR")!.track!.sign, -1);
  assert.equal(trackOf(rhythm(), "aVR")!.sign, 1);
});

test("a short recording has shorter columns, a long one is shown from where it is asked", () => {
  const short = plan(rhythm(6), asked("3x4"))!;
  near(short.cells.at(-1)!.dur, 1.5, 1e-9);
  const long = rhythm(60);
  const p = plan(long, asked("12x1", { start: 20 }))!;
  near(p.cells[0]!.t0, 20, 1e-9);
  assert.equal(p.shown, 10);
  near(plan(long, asked("12x1", { start: 1e9 }))!.start, 50, 1e-9);
  near(plan(long, asked("3x4", { speed: 50, start: 20 }))!.cells.find((c) => c.name === "V6")!.t0, 20 + 3.75, 1e-9);
});

test("missing leads leave their place empty", () => {
  const p = plan(rhythm(10, STANDARD.filter((n) => n !== "V4")), asked("auto"))!;
  assert.equal(p.layout, "3x4+1");
  assert.equal(p.cells.find((c) => c.name === "V4")!.track, null);
  assert.equal(plan(collect(recording(), () => true), asked("auto")), null);
});

test("leads that were recorded one after another are one recording", () => {
  const names = [["I", "II", "III"], ["aVR", "aVL", "aVF"], ["V1", "V2", "V3"], ["V4", "V5", "V6"]];
  const rec = recording(...names.map((n, i) => group("rhythm", 500, 2.5, n, { start_ms: String(i * 2500) })));
  const vs = views(rec);
  assert.deepEqual(vs.map((v) => v.key), ["rhythm", "rhythm-0", "rhythm-1", "rhythm-2", "rhythm-3"]);
  const p = plan(vs[0]!.tracks, asked("3x4"))!;
  assert(p.cells.every((c) => c.track && !c.own));
  const rows = plan(vs[0]!.tracks, asked("12x1", { pageMM: 100 }))!; // 4 s a page
  assert.equal(rows.cells.find((c) => c.name === "V6")!.own, true);
  near(rows.cells.find((c) => c.name === "V6")!.t0, 7.5, 1e-9);
});

test("medians are no view, and pressures no lead", () => {
  const rec = recording(group("rhythm", 500, 10, STANDARD), group("median", 1000, 1, STANDARD), group("other", 100, 10, []));
  rec.groups[0]!.leads.push(lead("ART", 5000, { unit: "mm[Hg]" }));
  assert.deepEqual(views(rec).map((v) => v.key), ["rhythm"]);
  assert.deepEqual(views(rec)[0]!.tracks.other, ["ART"]);
  const p = plan(collect(rec, (g) => g.kind === "median"), asked("median"))!;
  assert(p.cells.every((c) => c.t0 === 0 && c.dur === 1 && !c.tick));
  assert(p.cells[0]!.x + p.cells[0]!.dur * 25 < p.cells[3]!.x); // beats side by side are no rhythm
});

test("one name twice in a group is two leads; stored ones go before derived ones", () => {
  const rec = recording(group("rhythm", 500, 10, ["II", "II"]), group("rhythm", 500, 10, []));
  rec.groups[1]!.leads.push(lead("II", 5000, { derived: true }));
  const ts = collect(rec, () => true);
  assert.deepEqual(ts.order, ["II", "II #2"]);
  assert.equal(ts.byName.get("II")!.sources.length, 1);
});

test("hostile layouts end", () => {
  const many = collect(recording(group("rhythm", 500, 10, Array.from({ length: 200 }, (_, i) => "x" + i))), () => true);
  assert(plan(many, asked("12x1"))!.cells.length <= 48);
  assert(plan(rhythm(0.01), asked("3x4+1"))!.width > 0);
});

test("thinning keeps peaks where they are", () => {
  const t = new Thinner(10);
  const peak = 777;
  for (let i = 0; i < 2000; i++) t.add(i * 0.01, i === peak ? -50 : Math.sin(i));
  t.lift();
  const line = t.lines[0]!;
  assert(line.length < 2 * 1000);
  const k = line.indexOf(-50);
  near(line[k - 1], peak * 0.01, 1e-12);
  for (let i = 2; i < line.length; i += 2) assert(line[i]! > line[i - 2]!); // in order of time
  t.add(100, 1);
  t.lift();
  assert.equal(t.lines.length, 2);
});

test("an offset is taken away in whole millimetres", () => {
  assert.equal(shiftOf([new Float64Array(100).fill(0.5)], 10), 0);
  assert.equal(shiftOf([new Float64Array(100).fill(3.14)], 10), -3.1);
  assert.equal(shiftOf([new Float64Array([NaN, NaN])], 10), 0);
});

test("lines below a narrow paper are broken, and nothing is lost", () => {
  const wide = (t: string) => t.length;
  assert.deepEqual(wrap("25 mm/s   10 mm/mV", 99, wide), ["25 mm/s   10 mm/mV"]);
  assert.deepEqual(wrap("25 mm/s   10 mm/mV", 8, wide), ["25 mm/s", "10 mm/mV"]);
  assert.deepEqual(wrap("设备记录频带：0.05–150 Hz", 6, wide), ["设备记录频带", "：", "0.05–150", "Hz"]);
  assert.deepEqual(wrap("", 6, wide), []);
  assert.deepEqual(wrap("unbreakable", 3, wide), ["unbreakable"]);
});
