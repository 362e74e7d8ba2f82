import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameCache, Passing, Store } from "../store";

const frame = (bytes, closed = []) => ({ bytes, close: () => closed.push(bytes) });

test("the cache stays within its budget, closes what it lets go of, and keeps what is near", () => {
  let closed = 0;
  const c = new FrameCache(1000, 100);
  for (let f = 0; f < 100; f++) c.put(f, { bytes: 100, close: () => closed++ }, f);
  assert.equal(c.bytes, 1000);
  assert.equal(closed, 90);
  assert.ok(c.has(99) && c.has(98), "those just shown stay for a step back");
  c.put(5, { bytes: 5000, close: () => closed++ }, 5);
  assert.ok(c.has(5), "the one that is shown stays, however large");
  assert.equal(c.size, 1);
  c.clear();
  assert.equal(c.bytes, 0);
  assert.equal(closed, 101);
});

test("a frame that comes again takes the place of itself", () => {
  const closed = [];
  const c = new FrameCache(100, 10);
  c.put(1, frame(10, closed), 1);
  c.put(1, frame(20, closed), 1);
  assert.equal(c.bytes, 20);
  assert.deepEqual(closed, [10]);
});

/** A node that answers when told to. */
function world({ count = 1000, bytes = 100, budget = 10_000, parallel = 4 } = {}) {
  const w = { asked: [], waiting: new Map(), came: [], failed: [], aborted: 0, most: 0, now: 0 };
  w.store = new Store({
    count, budget, parallel, now: () => w.now,
    came: (f) => w.came.push(f),
    failed: (f, why) => w.failed.push([f, why]),
    load: (f, signal) => new Promise((resolve, reject) => {
      w.asked.push(f);
      w.waiting.set(f, { resolve: () => resolve(frame(bytes)), reject });
      w.most = Math.max(w.most, w.waiting.size);
      signal.addEventListener("abort", () => {
        w.aborted++;
        w.waiting.delete(f);
        reject(new Error("aborted"));
      });
    }),
  });
  w.answer = async (f) => {
    const one = w.waiting.get(f);
    w.waiting.delete(f);
    one.resolve();
    await new Promise(setImmediate);
  };
  w.answerAll = async () => {
    while (w.waiting.size > 0) await w.answer([...w.waiting.keys()][0]);
  };
  return w;
}

test("frames are fetched from the position on, a few at a time, and no more than memory holds", async () => {
  const w = world();
  w.store.want(10, 0, 1000);
  assert.deepEqual(w.asked, [10, 11, 12, 13]);
  await w.answerAll();
  assert.equal(w.most, 4);
  assert.ok(w.store.cache.bytes <= 10_000, String(w.store.cache.bytes));
  assert.ok(w.store.cache.size > 80, String(w.store.cache.size));
  assert.deepEqual(w.asked, [...new Set(w.asked)], "nothing is fetched twice");
  for (let at = 10; at < 400; at++) {
    w.store.want(at, 0, 1000);
    await w.answerAll();
    assert.ok(w.store.cache.has(at) && w.store.cache.bytes <= 10_000);
  }
  assert.deepEqual(w.asked, [...new Set(w.asked)], "what is still ahead is never let go of");
});

test("a loop that fits is fetched once and kept", async () => {
  const w = world({ count: 50 });
  for (let at = 0; at < 200; at++) {
    w.store.want(at % 50, 2, 300);
    await w.answerAll();
  }
  assert.equal(w.asked.length, 50);
  assert.equal(w.store.cache.size, 50);
});

test("playing, frames that would come too late are left out", () => {
  const w = world();
  w.store.want(100, 5, 300);
  assert.deepEqual(w.asked, [105, 106, 107, 108]);
});

test("standing still, frames behind are fetched too, and not given up", async () => {
  const w = world({ count: 100 });
  w.store.want(50, 0, 6, 1, true);
  await w.answerAll();
  assert.deepEqual(w.store.cache.frames(), [46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56]);
  w.store.want(49, 0, 6, 1, true);
  assert.deepEqual([...w.waiting.keys()], [45]);
  w.store.want(48, 0, 6, 1, true);
  assert.equal(w.aborted, 0);
});

test("over a slow line every so many frames come first, then the others", async () => {
  const w = world({ count: 20, parallel: 1 });
  w.store.want(1, 0, 300, 4);
  await w.answerAll();
  assert.deepEqual(w.asked.slice(0, 7), [1, 4, 8, 12, 16, 0, 2]);
  assert.equal(w.store.cache.size, 20);
});

test("a jump gives up what is no longer wanted", async () => {
  const w = world({ budget: 2000 });
  w.store.want(0, 0, 8);
  assert.equal(w.waiting.size, 4);
  w.store.want(500, 0, 8);
  assert.equal(w.aborted, 4);
  assert.deepEqual([...w.waiting.keys()], [500, 501, 502, 503]);
  await new Promise(setImmediate);
  assert.deepEqual(w.failed, [], "giving up is no fault");
});

test("the network is tried again, damage is not", async () => {
  const w = world({ parallel: 1, count: 3 });
  const refuse = async (f, why) => {
    const one = w.waiting.get(f);
    w.waiting.delete(f);
    one.reject(why);
    await new Promise(setImmediate);
  };
  w.store.want(0, 0, 0);
  await refuse(0, new Passing("away"));
  await refuse(0, new Passing("away"));
  await refuse(0, new Passing("away"));
  assert.deepEqual(w.failed.map(([f]) => f), [0]);
  assert.equal(w.asked.length, 3);
  w.store.want(0, 0, 0);
  assert.equal(w.asked.length, 3, "it is not asked for again by itself");
  w.store.forgive(0);
  w.store.want(0, 0, 0);
  await refuse(0, new Error("damaged"));
  assert.equal(w.failed.length, 2);
  assert.equal(w.asked.length, 4);
});

test("closing gives back everything", async () => {
  const w = world();
  w.store.want(0, 0, 100);
  await w.answer(0);
  w.store.close();
  assert.equal(w.store.cache.size, 0);
  assert.equal(w.waiting.size, 0);
});
