import assert from "node:assert/strict";
import { test } from "node:test";
import { baseName, itemOf, parcels, together } from "../choose";
import { BadZip, openZip } from "../zip";

const crcTable = Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const b of bytes) c = (c >>> 8) ^ crcTable[(c ^ b) & 255]!;
  return (c ^ 0xffffffff) >>> 0;
}

const utf8 = (s: string) => new TextEncoder().encode(s);

interface Entry {
  name: Uint8Array;
  body: Uint8Array;
  flags?: number;
  method?: number;
  size?: number; // as the directory says
  sum?: number;
}

/** An archive whose members are stored as they are; zip64 puts sizes and places where large ones are. */
function make(entries: Entry[], zip64 = false): Uint8Array<ArrayBuffer> {
  const out: number[] = [], directory: number[] = [];
  const put = (to: number[], ...fields: [number, number][]) => {
    for (const [bytes, value] of fields) for (let i = 0; i < bytes; i++) to.push(Math.floor(value / 2 ** (8 * i)) & 255);
  };
  for (const e of entries) {
    const at = out.length, sum = e.sum ?? crc(e.body), size = e.size ?? e.body.length;
    put(out, [4, 0x04034b50], [2, 20], [2, e.flags ?? 0], [2, e.method ?? 0], [4, 0], [4, sum], [4, e.body.length], [4, size], [2, e.name.length], [2, 0]);
    out.push(...e.name, ...e.body);
    put(directory, [4, 0x02014b50], [2, 20], [2, 20], [2, e.flags ?? 0], [2, e.method ?? 0], [4, 0], [4, sum],
      [4, zip64 ? 0xffffffff : e.body.length], [4, zip64 ? 0xffffffff : size], [2, e.name.length], [2, zip64 ? 28 : 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, zip64 ? 0xffffffff : at]);
    directory.push(...e.name);
    if (zip64) put(directory, [2, 1], [2, 24], [8, size], [8, e.body.length], [8, at]);
  }
  const at = out.length, n = entries.length;
  out.push(...directory);
  if (zip64) {
    const record = out.length;
    put(out, [4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, n], [8, n], [8, directory.length], [8, at]);
    put(out, [4, 0x07064b50], [4, 0], [8, record], [4, 1]);
  }
  put(out, [4, 0x06054b50], [4, 0], [2, zip64 ? 0xffff : n], [2, zip64 ? 0xffff : n], [4, zip64 ? 0xffffffff : directory.length], [4, zip64 ? 0xffffffff : at], [2, 0]);
  return new Uint8Array(out);
}

const failsWith = async (made: Promise<unknown>): Promise<unknown> => made.then(() => null, (e: unknown) => e);

test("members come out as they went in", async () => {
  for (const zip64 of [false, true]) {
    const gbk = new Uint8Array([0xd0, 0xc4, 0xb5, 0xe7, 0xcd, 0xbc]); // 心电图
    const all = await openZip(new Blob([make([
      { name: utf8("a/b.dcm"), body: utf8("hello") }, { name: utf8("a/"), body: utf8("") }, { name: gbk, body: utf8("world") },
      { name: utf8("图\\c.dcm"), body: utf8("!") },
    ], zip64)]));
    assert.deepEqual(all.map((m) => [m.path, m.size]), [["a/b.dcm", 5], ["心电图", 5], ["图/c.dcm", 1]]);
    assert.deepEqual(await Promise.all(all.map(async (m) => (await m.open()).text())), ["hello", "world", "!"]);
  }
});

test("what is damaged is told", async () => {
  const body = utf8("hello");
  for (const entry of [{ sum: 1 }, { size: 4 }, { size: 6 }]) {
    const [m] = await openZip(new Blob([make([{ name: utf8("a"), body, ...entry }])]));
    assert((await failsWith(m!.open())) instanceof BadZip);
  }
  for (const entry of [{ flags: 1 }, { method: 9 }, { size: 1e9 }]) {
    assert((await failsWith(openZip(new Blob([make([{ name: utf8("a"), body, ...entry }])])))) instanceof BadZip);
  }
  assert((await failsWith(openZip(new Blob(["no archive at all"])))) instanceof BadZip);
});

test("no damage does more than to be told", async () => {
  for (const zip64 of [false, true]) {
    const whole = make([{ name: utf8("a.dcm"), body: utf8("hello") }, { name: utf8("b.dcm"), body: utf8("there") }], zip64);
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 0xff, whole[at]! ^ 1]) {
        const broken = whole.slice();
        broken[at] = value;
        const wrong = await failsWith(openZip(new Blob([broken])).then(async (all) => {
          for (const m of all) await m.open();
        }));
        assert(wrong === null || wrong instanceof BadZip, `byte ${at} as ${value}: ${wrong}`);
      }
      const wrong = await failsWith(openZip(new Blob([whole.slice(0, at)])));
      assert(wrong instanceof BadZip, `cut at ${at}: ${wrong}`);
    }
  }
});

const file = (path: string, body = "x") => ({ path, size: body.length, open: async () => new Blob([body]) });

test("files of a recording go together", async () => {
  const header = file("r/100.hea", "100 2 360 650000\n100.dat 212 200 11 1024 995\nother.dat 212 200 11 1024 1011\n");
  const out = await together([file("a.dcm"), file("r/100.dat"), header, file("r/other.dat"), file("r/100.atr"), file("100.dat"), file("r/101.dat")]);
  assert.deepEqual(out.map((p) => p.items.map((i) => i.path)), [
    ["r/100.hea", "r/100.dat", "r/other.dat", "r/100.atr"], ["a.dcm"], ["100.dat"], ["r/101.dat"],
  ]);
  const parts = await together([file("m.hea", "m/2 2 360 650000\nm_1 1000\nm_2 1000\n"), file("m.dat")]);
  assert.equal(parts.length, 2);
});

test("files of viewers on a disc are passed over", async () => {
  const chosen = await parcels([file("CD/DICOMDIR"), file("CD/IMAGES/IM1"), file("CD/viewer/x.dll"), file("CD/.DS_Store"), file("page.htm")]);
  assert.deepEqual(chosen.parcels.map((p) => p.name), ["IM1", "page.htm"]);
  assert.equal(chosen.passed, 3);
  assert.equal(baseName("a/b/c"), "c");
  assert.equal(itemOf(new File(["abc"], "a.dcm")).size, 3);
});
