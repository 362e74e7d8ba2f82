import assert from "node:assert/strict";
import { test } from "node:test";
import { distance } from "../calibrate";
import { directions, edges } from "../orient";
import { apply, fit, invert, matrix, seen, start, turn, zoomAt } from "../view";

const v = (...Value) => ({ Value });
const near = (a, b, what) => assert.ok(Math.abs(a - b) < 1e-6, `${what ?? ""} ${a} is not ${b}`);

test("distances by Pixel Spacing: rows first", () => {
  const h = { "00280030": v(0.5, 0.2) };
  near(distance(h, 1, { x: 0, y: 0 }, { x: 30, y: 0 }).millimetres, 6);
  near(distance(h, 1, { x: 0, y: 0 }, { x: 0, y: 30 }).millimetres, 15);
  near(distance(h, 1, { x: 10, y: 10 }, { x: 40, y: 26 }).millimetres, 10);
  assert.equal(distance(h, 1, { x: 0, y: 0 }, { x: 1, y: 1 }).detector, false);
  assert.equal(distance({}, 1, { x: 0, y: 0 }, { x: 1, y: 1 }), undefined);
  assert.equal(distance({ "00280030": v(0, 0.2) }, 1, { x: 0, y: 0 }, { x: 1, y: 1 }), undefined);
  assert.equal(distance({ "00181164": v(0.1, 0.1) }, 1, { x: 0, y: 0 }, { x: 1, y: 1 }).detector, true);
});

test("distances of frames that have their own spacing", () => {
  const measures = (s) => ({ "00289110": v({ "00280030": v(s, s) }) });
  const h = { "52009229": v(measures(1)), "52009230": v({}, measures(2)) };
  near(distance(h, 1, { x: 0, y: 0 }, { x: 3, y: 4 }).millimetres, 5);
  near(distance(h, 2, { x: 0, y: 0 }, { x: 3, y: 4 }).millimetres, 10);
});

function region(x0, y0, x1, y1, delta, more = {}) {
  return {
    "00186012": v(1), "00186018": v(x0), "0018601A": v(y0), "0018601C": v(x1), "0018601E": v(y1), "00186024": v(3), "00186026": v(3),
    "0018602C": v(delta), "0018602E": v(delta), ...more,
  };
}

test("distances in ultrasound regions: both ends in one, the smallest", () => {
  const h = { "00186011": v(region(0, 0, 199, 199, 0.1), region(100, 100, 149, 149, -0.05)), "00280030": v(9, 9) };
  near(distance(h, 1, { x: 10, y: 10 }, { x: 13, y: 14 }).millimetres, 5);
  near(distance(h, 1, { x: 110, y: 110 }, { x: 113, y: 114 }).millimetres, 2.5);
  near(distance(h, 1, { x: 10, y: 10 }, { x: 110, y: 10 }).millimetres, 100);
  assert.equal(distance(h, 1, { x: 10, y: 10 }, { x: 300, y: 10 }), undefined);
  for (const other of [{ "00186012": v(2) }, { "00186024": v(4) }, { "0018602C": v(0) }, { "00186018": {} }]) {
    assert.equal(distance({ "00186011": v(region(0, 0, 199, 199, 0.1, other)) }, 1, { x: 1, y: 1 }, { x: 9, y: 9 }), undefined);
  }
});

const stage = { width: 800, height: 600 };

test("a picture fits, in its shape, and small ones are not blown up", () => {
  near(fit(start, stage, { width: 1600, height: 600 }), 0.5);
  near(fit({ ...start, turns: 1 }, stage, { width: 1600, height: 600 }), 600 / 1600);
  near(fit(start, stage, { width: 10, height: 10 }), 4);
  assert.deepEqual(seen(100, 50, 2), { width: 100, height: 100 });
  assert.deepEqual(seen(100, 50, 0.5), { width: 200, height: 50 });
});

test("one to one lies on whole pixels", () => {
  for (const [columns, rows] of [[101, 77], [100, 76]]) {
    const m = matrix({ ...start, zoom: 1, x: 0.3 }, { width: 803, height: 601 }, columns, rows, 1, 1);
    assert.deepEqual(m.slice(0, 4), [1, 0, -0, 1]);
    assert.ok(Number.isInteger(m[4]) && Number.isInteger(m[5]), String(m));
  }
});

test("places lead there and back, however the picture lies", () => {
  for (let turns = 0; turns < 4; turns++) {
    for (const [flipX, flipY] of [[false, false], [true, false], [false, true], [true, true]]) {
      const view = { zoom: 1.7, x: 13, y: -40, turns, flipX, flipY };
      const m = matrix(view, stage, 320, 240, 1.5, 2);
      const p = invert(m, apply(m, { x: 12, y: 200 }));
      near(p.x, 12);
      near(p.y, 200);
      const c = apply(m, { x: 160, y: 120 });
      near(c.x, 2 * (400 + 13));
      near(c.y, 2 * (300 - 40));
      // A turn turns what is seen, mirrored or not.
      const one = apply(matrix({ ...view, x: 0, y: 0 }, stage, 320, 240, 1, 1), { x: 200, y: 130 });
      const two = apply(matrix({ ...turn(view, 1), x: 0, y: 0 }, stage, 320, 240, 1, 1), { x: 200, y: 130 });
      near(two.x - 400, -(one.y - 300));
      near(two.y - 300, one.x - 400);
    }
  }
});

test("zooming keeps the place under the pointer", () => {
  const at = { x: 700, y: 100 };
  const picture = { width: 320, height: 240 };
  const view = { ...start, x: 20, y: 5 };
  const before = invert(matrix(view, stage, 320, 240, 1, 1), at);
  const after = invert(matrix(zoomAt(view, stage, picture, 3, at), stage, 320, 240, 1, 1), at);
  near(before.x, after.x);
  near(before.y, after.y);
  near(zoomAt(view, stage, picture, 1e9, at).zoom, 64);
});

test("letters at the edges follow turns and mirrors", () => {
  const axial = directions({ "00200037": v(1, 0, 0, 0, 1, 0) }, 1);
  assert.deepEqual(axial, ["L", "P"]);
  const at = (view) => {
    const e = edges(axial, matrix({ ...start, ...view }, stage, 100, 100, 1, 1));
    return e.left + e.top + e.right + e.bottom;
  };
  assert.equal(at({}), "RALP");
  assert.equal(at({ flipX: true }), "LARP");
  assert.equal(at({ flipY: true }), "RPLA");
  assert.equal(at({ turns: 1 }), "PRAL");
  assert.equal(at({ turns: 2 }), "LPRA");
  assert.equal(at({ turns: 3 }), "ALPR");
  assert.equal(at({ turns: 1, flipX: true }), "ARPL");
  assert.deepEqual(directions({ "00200020": v("A", "F") }, 1), ["A", "F"]);
  assert.equal(directions({ "00200020": v("?", "F") }, 1), undefined);
  assert.equal(directions({}, 1), undefined);
});
