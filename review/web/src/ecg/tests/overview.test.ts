import assert from "node:assert/strict";
import { test } from "node:test";
import { drawOverview } from "../overview";
import type { Store } from "../store";
import { views } from "../tracks";
import { group, recording } from "./make";

/** A canvas without any room, on which nothing is drawn. */
class Canvas extends EventTarget {
  hidden = true;
  clientWidth = 0;
  onclick: ((e: unknown) => void) | null = null;
}

const answer = (() => {
  const b = new ArrayBuffer(24);
  new Uint8Array(b).set(new TextEncoder().encode("ECGO"));
  new DataView(b).setUint32(4, 1, true);
  return b;
})();

test("the overview is that of the view that was chosen last", async () => {
  Object.assign(globalThis, { window: new EventTarget() });
  const rec = recording(group("full-disclosure", 100, 30, ["I"]), group("full-disclosure", 100, 90, ["I"], { start_ms: "30000" }));
  const [all, short, long] = views(rec);
  assert(all && short && long);
  const canvas = new Canvas();
  const on = canvas as unknown as HTMLCanvasElement;
  const waiting: (() => void)[] = [];
  const store = { fetch: () => new Promise<ArrayBuffer>((resolve) => waiting.push(() => resolve(answer))) } as unknown as Store;
  const went: number[] = [];
  const choose = (view: typeof all) => drawOverview(on, rec, store, view, (t) => went.push(t));
  const stretch = () => canvas.dispatchEvent(new CustomEvent("stretch", { detail: { from: 0, to: 1 } }));

  const first = choose(all);
  waiting.shift()!();
  await first;
  assert.equal(canvas.hidden, false);
  await choose(short); // it needs none
  stretch();
  assert.equal(canvas.hidden, true);

  const late = choose(all);
  const last = choose(long);
  waiting[1]!();
  await last;
  waiting[0]!();
  await late;
  canvas.clientWidth = 100;
  canvas.onclick!({ offsetX: 50 });
  assert.deepEqual(went, [45]);
});
