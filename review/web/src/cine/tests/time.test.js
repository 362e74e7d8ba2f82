import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../clock";
import { rateOf } from "../rate";

const all = () => true;

function even(count, millis) {
  return Float64Array.from({ length: count + 1 }, (_, i) => i * millis);
}

test("the rate is what the header says, the recommended one first", () => {
  const per = (h, n = 4) => +rateOf(h, n).perSecond.toFixed(3);
  const ds = (...v) => ({ Value: v });
  assert.equal(per({}), 30);
  assert.equal(rateOf({}, 4).told, false);
  assert.equal(per({ "00180040": ds(15) }), 15);
  assert.equal(per({ "00180040": ds(15), "00181063": ds(40) }), 25);
  assert.equal(per({ "00180040": ds(15), "00181063": ds("40"), "00082144": ds(50) }), 50);
  assert.equal(per({ "00181063": ds(0), "00180040": ds(-1) }), 30);
  assert.equal(per({ "00181063": ds(1e9) }), 30);
  const vector = { "00280009": { Value: ["00181065"] }, "00181065": ds(0, 10, 20, 30), "00181063": ds(40) };
  assert.deepEqual([...rateOf(vector, 4).starts], [0, 10, 30, 60, 80]);
  assert.equal(per({ ...vector, "00181065": ds(0, 10, 20) }), 25, "a vector of another length is none");
  assert.deepEqual([...rateOf({ "00181065": ds(0, 10, 20, 30) }, 4).starts], [0, 10, 30, 60, 80]);
});

test("every frame is shown when the page comes in time", () => {
  const c = new Clock(even(10, 1000 / 30));
  c.play(0, 0);
  const seen = [];
  for (let now = 0; now < 2000; now += 1000 / 60) seen.push(c.tick(now, all));
  assert.equal(c.counts.asked, 60);
  assert.deepEqual(c.counts, { asked: 60, shown: 60, late: 0, missed: 0 });
  assert.deepEqual(seen.slice(0, 8), [0, 0, 1, 1, 2, 2, 3, 3]);
});

test("a late page drops frames and does not drift", () => {
  const c = new Clock(even(10, 100));
  c.play(3, 0);
  assert.equal(c.tick(0, all), 3);
  assert.equal(c.tick(250, all), 5);
  assert.deepEqual(c.counts, { asked: 3, shown: 2, late: 1, missed: 0 });
  assert.equal(c.tick(700, all), 0); // the next round
  assert.equal(c.counts.asked, 8);
  assert.equal(c.counts.late, 5);
});

test("frames that are not there in time are missed, and shown when they come while they are due", () => {
  const c = new Clock(even(10, 100));
  const there = new Set([0]);
  const has = (f) => there.has(f);
  c.play(0, 0);
  c.tick(0, has);
  c.tick(110, has); // frame 1 is not there
  there.add(1);
  c.tick(150, has); // now it is
  c.tick(210, has); // frame 2 is not
  c.tick(310, has); // nor is 3
  assert.deepEqual(c.counts, { asked: 4, shown: 2, late: 0, missed: 1 });
  c.pause();
  assert.deepEqual(c.counts, { asked: 4, shown: 2, late: 0, missed: 2 });
});

test("speed, the end without a loop, and a tab that was away", () => {
  const c = new Clock(even(4, 100));
  c.loop = false;
  c.setSpeed(2);
  c.play(0, 0);
  assert.equal(c.tick(0, all), 0);
  assert.equal(c.tick(51, all), 1);
  assert.equal(c.tick(151, all), 3);
  assert.equal(c.tick(500, all), 3);
  assert.equal(c.playing, false);
  c.play(3, 600);
  assert.equal(c.tick(600, all), 0, "it starts again at its end");
  const asked = c.counts.asked;
  assert.equal(c.tick(90_000, all), 0, "nothing is counted for a tab in the background");
  assert.equal(c.counts.asked, asked + 1);
});

test("frames of different length", () => {
  const c = new Clock(Float64Array.from([0, 10, 500, 600]));
  c.play(0, 0);
  assert.deepEqual([0, 9, 11, 499, 501, 599, 601].map((now) => c.tick(now, all)), [0, 0, 1, 1, 2, 2, 0]);
});
