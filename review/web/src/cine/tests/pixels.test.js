import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inline } from "../elements";
import { browserDecodes, readJPEGHead } from "../jpeg";
import { NotHere, readModule, segmented } from "../module";
import { ownVOI, paintGrey, samplesOf, shades } from "../pixels";
import { Broken, decodeRLE } from "../rle";

const bytesOf = (e) => Promise.resolve(inline(e.InlineBinary));

for (const c of JSON.parse(readFileSync(process.env.PIXELS, "utf8"))) {
  test(`${c.name} is drawn as the node draws it`, async () => {
    const m = await readModule(c.header, c.frame, bytesOf);
    const data = new Uint8Array(Buffer.from(c.data, "base64"));
    if (c.error) {
      assert.throws(() => samplesOf(m, c.syntax, data), Broken);
      return;
    }
    const { bits, rgba } = samplesOf(m, c.syntax, data);
    if (c.rgba) {
      assert.deepEqual(Buffer.from(rgba), Buffer.from(c.rgba, "base64"));
      return;
    }
    const out = new Uint8ClampedArray(4 * bits.length);
    paintGrey(bits, shades(m, ownVOI(m, bits), false), out);
    const want = Buffer.from(c.grey, "base64");
    // Where no window is given, both spread what there is over all greys, and round at its halves as they like.
    const slack = m.windows.length || m.voi.length ? 0 : 1;
    assert.equal(bits.length, want.length);
    for (let i = 0; i < want.length; i++) {
      const [r, g, b, a] = out.subarray(4 * i, 4 * i + 4);
      if (Math.abs(r - want[i]) > slack || g !== r || b !== r || a !== 255) assert.fail(`pixel ${i} is ${[r, g, b, a]}, not ${want[i]}`);
    }
  });
}

test("frames that nothing fits are refused, whatever their bytes", () => {
  let seed = 1;
  const next = () => (seed = (seed * 48271) % 0x7fffffff);
  for (let i = 0; i < 3000; i++) {
    const b = new Uint8Array(next() % 300);
    for (let k = 0; k < b.length; k++) b[k] = next() % 3 ? next() & 255 : 0;
    if (b.length >= 64) b[0] = 2;
    try {
      assert.equal(decodeRLE(b, 50, 1, 2).length, 100);
    } catch (why) {
      assert.ok(why instanceof Broken, String(why));
    }
    readJPEGHead(b);
    try {
      assert.equal(segmented([...b], 64).length, 64);
    } catch (why) {
      assert.ok(why instanceof NotHere, String(why));
    }
  }
});

test("headers that nothing can be drawn of are left to the node", async () => {
  const good = {
    "00280002": { Value: [1] }, "00280004": { Value: ["MONOCHROME2"] }, "00280010": { Value: [4] }, "00280011": { Value: [4] },
    "00280100": { Value: [16] }, "00280101": { Value: [12] }, "00280102": { Value: [11] },
  };
  await readModule(good, 1, bytesOf);
  for (const bad of [
    { "00280010": { Value: [0] } }, { "00280011": { Value: [65535] } }, { "00280100": { Value: [32] } }, { "00280101": { Value: [17] } },
    { "00280102": { Value: [3] } }, { "00280002": { Value: [4] } }, { "00280004": { Value: ["CMYK"] } }, { "7FE00008": { vr: "OF" } },
    { "00280010": {} }, { "00280100": { Value: ["x"] } },
  ]) {
    await assert.rejects(readModule({ ...good, ...bad }, 1, bytesOf), NotHere, JSON.stringify(bad));
  }
});

test("a JPEG is left to the browser when its markers name the colours that the header means", () => {
  const stream = (components, { adobe = -1, jfif = false, precision = 8, process = 0 } = {}) => {
    const b = [0xff, 0xd8];
    if (jfif) b.push(0xff, 0xe0, 0, 7, ...Buffer.from("JFIF\0"));
    if (adobe >= 0) b.push(0xff, 0xee, 0, 14, ...Buffer.from("Adobe"), 0, 0, 0, 0, 0, 0, adobe);
    b.push(0xff, 0xc0 + process, 0, 8 + 3 * components, precision, 0, 2, 0, 3, components, ...new Array(3 * components).fill(1));
    return readJPEGHead(new Uint8Array(b));
  };
  const m = (samples, photometric) => ({ rows: 2, columns: 3, samples, photometric });
  const colour = m(3, "YBR_FULL_422");
  assert.deepEqual(stream(3), { process: 0, precision: 8, rows: 2, columns: 3, components: 3, jfif: false, adobe: -1 });
  assert.ok(browserDecodes(stream(3), colour));
  assert.ok(browserDecodes(stream(3, { jfif: true }), m(3, "RGB")), "the stream's own word counts more");
  assert.ok(browserDecodes(stream(3, { adobe: 0 }), m(3, "RGB")));
  assert.ok(browserDecodes(stream(1), m(1, "MONOCHROME2")));
  assert.ok(!browserDecodes(stream(3), m(3, "RGB")), "a browser would take it for YCbCr");
  assert.ok(!browserDecodes(stream(3, { precision: 12 }), colour));
  assert.ok(!browserDecodes(stream(3, { process: 3 }), colour));
  assert.ok(!browserDecodes(stream(3), { ...colour, rows: 5 }));
  assert.ok(!browserDecodes(stream(1), colour));
});
