// Large files go by pieces (tus 1.0). Where an upload stands is known to the node; its address is kept in this browser, so
// that the same file, chosen again after a reload or a power cut, goes on where it stopped.
import type { Origin } from "./plain";
import { Failure, type Receipt, failure, readable, receipts, request } from "./request";

const base = "/upload/tus/";

/** Bytes of one piece. A proxy that buffers pieces holds no more; one answer each is little. */
const piece = 32 << 20;

/** How long the node keeps an upload that nobody goes on with, milliseconds. */
const keptFor = 7 * 24 * 60 * 60 * 1000;

const prefix = "tributary-upload-";

const version = { "Tus-Resumable": "1.0.0" };

interface Kept {
  url: string;
  at: number; // milliseconds since 1970
}

/** Bytes of a file's beginning, middle and end that its fingerprint is made of. */
const sample = 64 << 10;

/**
 * Hash (53 bits) of what tells a file from another: name, size, time, and samples of its bytes, since loops of a device
 * have the same length and often the same names. Names may be those of patients, and are not kept.
 */
async function fingerprint(name: string, body: Blob): Promise<string> {
  let a = 0xdeadbeef, b = 0x41c6ce57;
  const add = (bytes: Uint8Array) => {
    for (const c of bytes) {
      a = Math.imul(a ^ c, 2654435761);
      b = Math.imul(b ^ c, 1597334677);
    }
  };
  add(new TextEncoder().encode(`${name}\n${body.size}\n${body instanceof File ? body.lastModified : 0}\n`));
  for (const at of [0, Math.floor(body.size / 2), Math.max(0, body.size - sample)]) {
    add(new Uint8Array(await body.slice(at, at + sample).arrayBuffer()));
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36) + "-" + body.size.toString(36);
}

// Browsers may forbid to keep anything: then an upload goes on while the page is open.
const memory = new Map<string, Kept>();

function recall(key: string): Kept | null {
  const here = memory.get(key);
  if (here) return here;
  try {
    const kept: Kept = JSON.parse(localStorage.getItem(prefix + key) ?? "null");
    if (typeof kept?.url !== "string" || !kept.url.startsWith(base) || !(Date.now() - kept.at < keptFor)) return null;
    return kept;
  } catch {
    return null;
  }
}

function remember(key: string, url: string): void {
  const kept = { url, at: Date.now() };
  memory.set(key, kept);
  try {
    localStorage.setItem(prefix + key, JSON.stringify(kept));
  } catch {
    // as above
  }
}

function forget(key: string): void {
  memory.delete(key);
  try {
    localStorage.removeItem(prefix + key);
  } catch {
    // as above
  }
}

/** How many uploads were begun in this browser and not ended. What the node has forgotten is forgotten here too. */
export function unfinished(): number {
  let n = 0;
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(prefix)) continue;
      if (recall(key.slice(prefix.length))) n++;
      else localStorage.removeItem(key);
    }
  } catch {
    return 0;
  }
  return n;
}

function metadata(pairs: Record<string, string>): string {
  const encode = (s: string) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));
  return Object.entries(pairs).filter(([, v]) => v).map(([k, v]) => `${k} ${encode(v)}`).join(",");
}

/** The path of a Location on this node; another place is not ours to send patients to. */
function here(location: string): string {
  const url = new URL(location, document.baseURI);
  if (!location || url.origin !== window.location.origin || !url.pathname.startsWith(base)) throw new Failure("odd", 201);
  return url.pathname;
}

export interface Progress {
  /** Bytes that the node has, and that are on their way. */
  sent(bytes: number): void;
  /** The upload goes on behind bytes that came before. */
  resumed(): void;
}

/**
 * Sends a file, or the rest of it, once: a Failure that is passing may be tried again and costs nothing that the node has.
 */
export async function sendTus(name: string, body: Blob, origin: Origin, signal: AbortSignal, progress: Progress): Promise<Receipt> {
  await readable(body);
  const key = await fingerprint(name, body);
  let url = recall(key)?.url ?? "";
  let offset = 0;
  if (url) {
    const answer = await request("HEAD", url, version, null, signal);
    if (answer.status === 200 && Number(answer.header("Upload-Length")) === body.size) {
      offset = Number(answer.header("Upload-Offset")) || 0;
      if (offset > 0) progress.resumed();
    } else if (answer.status >= 500 || answer.status === 423 || answer.status === 401 || answer.status === 429) {
      throw failure(answer);
    } else {
      forget(key); // the node knows it no more
      url = "";
    }
  }
  if (!url) {
    const answer = await request("POST", base, {
      ...version, "Upload-Length": String(body.size),
      "Upload-Metadata": metadata({ filename: name, device: origin.device, facility: origin.facility }),
    }, null, signal);
    if (answer.status === 413) return { id: "", status: "refused", reason: "too-large" };
    if (answer.status !== 201) throw failure(answer);
    url = here(answer.header("Location"));
    remember(key, url);
  }
  while (offset < body.size) {
    progress.sent(offset);
    const from = offset;
    const answer = await request("PATCH", url, { ...version, "Upload-Offset": String(from), "Content-Type": "application/offset+octet-stream" },
      body.slice(from, from + piece), signal, (bytes) => progress.sent(from + bytes));
    const refused = receipts(answer.body)?.[0];
    if (answer.header("Tributary-Status") === "refused" && refused) {
      forget(key);
      return refused;
    }
    if (answer.status === 404 || answer.status === 410) forget(key);
    if (answer.status === 404 || answer.status === 409 || answer.status === 410) throw new Failure("busy", answer.status); // ask again where it stands
    if (answer.status !== 204) throw failure(answer);
    offset = Number(answer.header("Upload-Offset"));
    if (!(offset > from)) throw new Failure("odd", answer.status);
    remember(key, url);
  }
  progress.sent(body.size);
  const answer = await request("GET", url + "/receipt", {}, null, signal);
  const receipt = receipts(answer.body)?.[0];
  if (answer.status === 202 || !receipt) throw answer.status === 202 ? new Failure("busy", 202) : failure(answer);
  forget(key);
  return receipt;
}

/** Lets the node forget what it has of a file, as far as it can be told. */
export async function dropTus(name: string, body: Blob): Promise<void> {
  const key = await fingerprint(name, body);
  const kept = recall(key);
  forget(key);
  if (kept) void fetch(kept.url, { method: "DELETE", headers: version, keepalive: true }).catch(() => undefined);
}
