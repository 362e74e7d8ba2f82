import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure, headerText, receipts } from "../request";
import { sendTus, unfinished } from "../tus";

interface Said {
  status: number;
  body: string;
  headers: Record<string, string>;
}

/** A node's tus door in memory, with lines that drop and answers that are lost as a seed has it. */
class Door {
  uploads = new Map<string, { length: number; bytes: number[]; metadata: string }>();
  created = 0;
  patched = 0;
  constructor(private seed: number, private readonly mishaps: number) {}

  private random(): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return this.seed / 2 ** 32;
  }

  /** Answers, or null when the line drops. */
  async serve(method: string, url: string, headers: Map<string, string>, body: Blob | null): Promise<Said | null> {
    const dropped = this.random() < this.mishaps, lost = this.random() < this.mishaps;
    if (dropped && method !== "PATCH") return null;
    const answer = async (): Promise<Said> => {
      if (method === "POST") {
        const path = `/upload/tus/${++this.created}`;
        this.uploads.set(path, { length: Number(headers.get("Upload-Length")), bytes: [], metadata: headers.get("Upload-Metadata") ?? "" });
        return { status: 201, body: "", headers: { Location: path } };
      }
      const path = url.replace(/\/receipt$/, ""), u = this.uploads.get(path);
      if (!u) return { status: 404, body: "", headers: {} };
      if (method === "HEAD") return { status: 200, body: "", headers: { "Upload-Offset": String(u.bytes.length), "Upload-Length": String(u.length) } };
      if (method === "GET") return { status: 200, body: JSON.stringify({ id: "01A", status: "stored", study: "1.2" }), headers: {} };
      if (Number(headers.get("Upload-Offset")) !== u.bytes.length) return { status: 409, body: "", headers: {} };
      const bytes = new Uint8Array(await body!.arrayBuffer());
      const taken = dropped ? Math.floor(this.random() * bytes.length) : bytes.length;
      this.patched += taken;
      for (const b of bytes.subarray(0, taken)) u.bytes.push(b);
      return { status: 204, body: "", headers: { "Upload-Offset": String(u.bytes.length) } };
    };
    const said = await answer();
    return dropped || lost ? null : said;
  }
}

let door: Door;

class FakeRequest {
  upload: { onprogress?: (e: { loaded: number }) => void; onload?: () => void } = {};
  onload = () => {};
  onerror = () => {};
  status = 0;
  responseText = "";
  private method = "";
  private url = "";
  private sent = new Map<string, string>();
  private got: Record<string, string> = {};
  open(method: string, url: string) {
    this.method = method;
    this.url = url;
  }
  setRequestHeader(name: string, value: string) {
    this.sent.set(name, value);
  }
  getResponseHeader(name: string) {
    return this.got[name] ?? null;
  }
  abort() {}
  send(body: Blob | null) {
    void door.serve(this.method, this.url, this.sent, body).then((answer) => {
      if (!answer) return this.onerror();
      this.upload.onprogress?.({ loaded: body?.size ?? 0 });
      this.upload.onload?.();
      this.status = answer.status;
      this.responseText = answer.body;
      this.got = answer.headers;
      this.onload();
    });
  }
}

// localStorage lists its keys as properties.
const kept: Record<string, string> = {};
const storage = Object.defineProperties(kept, {
  getItem: { value: (k: string) => kept[k] ?? null },
  setItem: { value: (k: string, v: string) => void (kept[k] = v) },
  removeItem: { value: (k: string) => void delete kept[k] },
});

Object.assign(globalThis, {
  XMLHttpRequest: FakeRequest, localStorage: storage, window: globalThis,
  document: { baseURI: "http://node/pages/upload" }, location: { origin: "http://node" },
});

const origin = { device: "心电图机", facility: "" };

test("whatever the line does, all bytes arrive once and in order", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    door = new Door(seed, 0.35);
    const bytes = Uint8Array.from({ length: 1000 + seed }, (_, i) => (i * seed) & 255);
    const file = new File([bytes], `张伟-${seed}.dcm`, { lastModified: seed });
    let receipt = null;
    for (let n = 0; n < 200 && !receipt; n++) {
      try {
        receipt = await sendTus(file.name, file, origin, new AbortController().signal, { sent: () => {}, resumed: () => {} });
      } catch (e) {
        assert(e instanceof Failure && e.passing, `seed ${seed}: ${e}`);
      }
      assert(!JSON.stringify(kept).includes("张"), "a name is kept in the browser");
    }
    assert.equal(receipt?.id, "01A");
    const whole = [...door.uploads.values()].filter((u) => u.bytes.length === u.length);
    assert.equal(whole.length, 1);
    assert.deepEqual(whole[0]!.bytes, [...bytes]);
    assert.equal(door.patched, bytes.length, `seed ${seed}: bytes were sent twice`);
    assert.equal(unfinished(), 0);
  }
});

test("files that look the same from outside are not taken for one another", async () => {
  door = new Door(7, 0);
  const one = new File([new Uint8Array(5000).fill(1)], "IM1", { lastModified: 5 }), other = new File([new Uint8Array(5000).fill(2)], "IM1", { lastModified: 5 });
  const stop = new AbortController();
  const went = sendTus("IM1", one, origin, stop.signal, { sent: () => stop.abort(), resumed: () => {} });
  await went.then(() => assert(false, "it was stopped"), (e) => assert(e instanceof Failure && e.kind === "stopped"));
  assert.equal(unfinished(), 1);
  await sendTus("IM1", other, origin, new AbortController().signal, { sent: () => {}, resumed: () => assert(false, "the other file goes on") });
  assert.deepEqual([...door.uploads.values()].at(-1)!.bytes, new Array(5000).fill(2));
});

test("an upload goes nowhere else, and what the browser kept is not trusted", async () => {
  for (const key of Object.keys(kept)) delete kept[key];
  kept["tributary-upload-x"] = JSON.stringify({ url: "https://elsewhere.example/", at: Date.now() });
  kept["tributary-upload-y"] = "{";
  kept["tributary-upload-z"] = JSON.stringify({ url: "/upload/tus/1", at: Date.now() - 8 * 86_400_000 });
  kept["another"] = "stays";
  assert.equal(unfinished(), 0);
  assert.deepEqual(Object.keys(kept), ["another"]);
  door = new Door(1, 0);
  door.serve = async () => ({ status: 201, body: "", headers: { Location: "https://elsewhere.example/upload/tus/1" } });
  const wrong = await sendTus("a", new Blob(["a"]), origin, new AbortController().signal, { sent: () => {}, resumed: () => {} }).catch((e: unknown) => e);
  assert(wrong instanceof Failure && wrong.kind === "odd");
});

test("receipts and headers", () => {
  assert.equal(receipts("<html>"), null);
  assert.equal(receipts("[]"), null);
  assert.equal(receipts('{"error":"x"}'), null);
  assert.equal(receipts('[{"id":"","status":"refused"},{"id":"1","status":"stored"}]')?.length, 2);
  assert.equal(headerText("é").length, 2);
});
