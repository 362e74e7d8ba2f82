// Frames of one instance over WADO-RS: as they are stored where this page decodes them, drawn by the node elsewhere.

import { type BytesOf, type Elements, inline, text } from "./elements";
import { browserDecodes, readJPEGHead } from "./jpeg";
import { frameCount, isGrey, type Module, maxFrameBytes, NotHere, perFrame, readModule } from "./module";
import { type Bits, bitsOf, explicitLittle, implicitLittle, paletted, rleLossless, samplesOf } from "./pixels";
import { Broken } from "./rle";
import { type Held, Passing } from "./store";

/** A frame that nothing here draws: of a Transfer Syntax without a decoder (status 406), or damaged. */
export class NotShown extends Error {
  constructor(readonly status: number, readonly why: string) {
    super(why);
  }
}

/** A frame that is ready to be drawn: grey values, or a picture with its colours. */
export interface Frame extends Held {
  readonly module: Module | undefined; // not known where the node drew it
  readonly bits: Bits | undefined;
  readonly bitmap: ImageBitmap | undefined;
}

const jpegs = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"];
const natives = [implicitLittle, explicitLittle, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"];

/** How long a lookup table may be, bytes. */
const maxTable = 128 << 10;

/** Pictures in a row: the frames of an instance, or the instances of a series. All are counted from 0. */
export interface Pictures {
  readonly count: number;

  /** Fetches and decodes one. */
  load(i: number, signal: AbortSignal): Promise<Frame>;

  /** What is said of one; undefined before it is known. */
  headerOf(i: number): Elements | undefined;

  /** The frame of its instance that it is, counted from 1. */
  frameOf(i: number): number;
}

/** The frames of one instance. */
export class Source implements Pictures {
  readonly count: number;
  private readonly modules = new Map<number, Promise<Module | undefined>>();
  private readonly tables = new Map<string, Promise<Uint8Array>>();

  /** root is the path of the instance; syntax its Transfer Syntax UID. */
  constructor(readonly root: string, readonly header: Elements, readonly syntax: string) {
    this.count = frameCount(header);
  }

  /** What the header says of a frame, counted from 0; undefined when only the node can tell. */
  module(frame: number): Promise<Module | undefined> {
    const key = perFrame(this.header) ? frame : 0;
    let m = this.modules.get(key);
    if (!m) {
      if (this.modules.size > 256) this.modules.clear();
      m = readModule(this.header, key + 1, this.bytesOf).catch((why: unknown) => {
        if (why instanceof NotHere) return undefined;
        this.modules.delete(key);
        throw why;
      });
      this.modules.set(key, m);
    }
    return m;
  }

  private readonly bytesOf: BytesOf = (e) => {
    if (e.InlineBinary !== undefined) return Promise.resolve(inline(e.InlineBinary));
    const uri = e.BulkDataURI ?? "";
    if (!uri.startsWith("/")) return Promise.reject(new NotHere("a value that is not here"));
    let b = this.tables.get(uri);
    if (!b) {
      b = get(uri, "application/octet-stream", maxTable, new AbortController().signal).then((a) => new Uint8Array(a.body));
      b.catch(() => this.tables.delete(uri));
      this.tables.set(uri, b);
    }
    return b;
  };

  headerOf(): Elements {
    return this.header;
  }

  frameOf(i: number): number {
    return i + 1;
  }

  async load(frame: number, signal: AbortSignal): Promise<Frame> {
    const m = await this.module(frame);
    if (m && (natives.includes(this.syntax) || jpegs.includes(this.syntax) || this.syntax === rleLossless)) {
      const a = await get(`${this.root}/frames/${frame + 1}`, "application/octet-stream; transfer-syntax=*", maxFrameBytes, signal);
      try {
        return await decode(m, a.syntax || this.syntax, new Uint8Array(a.body));
      } catch (why) {
        if (!(why instanceof NotHere) && !(why instanceof DOMException)) throw why;
        // The browser's own decoder gave up, or would be wrong: the node may know better.
      }
    }
    return this.drawn(frame, m, signal);
  }

  private async drawn(frame: number, m: Module | undefined, signal: AbortSignal): Promise<Frame> {
    const a = await get(`${this.root}/frames/${frame + 1}/rendered`, "image/png", maxFrameBytes, signal);
    const bitmap = await createImageBitmap(new Blob([a.body], { type: a.type }), { colorSpaceConversion: "none" });
    return picture(m, bitmap);
  }
}

/** How many instances of a series are remembered; their headers are some kilobytes each. */
const remembered = 400;

/** The instances of a series that have one frame each, as of CT. */
export class Stack implements Pictures {
  private readonly sources = new Map<number, Source>();

  /** roots are the paths of the instances, first the known one at place first. */
  constructor(private readonly roots: readonly string[], first: number, known: Source) {
    this.sources.set(first, known);
  }

  get count(): number {
    return this.roots.length;
  }

  headerOf(i: number): Elements | undefined {
    return this.sources.get(i)?.header;
  }

  frameOf(): number {
    return 1;
  }

  async load(i: number, signal: AbortSignal): Promise<Frame> {
    let s = this.sources.get(i);
    if (!s) {
      const root = this.roots[i] ?? "";
      const h = await header(root, signal);
      s = new Source(root, h, syntaxOf(h));
      for (const far of this.sources.keys()) {
        if (this.sources.size < remembered) break;
        this.sources.delete(far);
      }
      this.sources.set(i, s);
    }
    return s.load(0, signal);
  }
}

interface Answer {
  readonly body: ArrayBuffer;
  readonly type: string;
  readonly syntax: string;
}

/** Gets at most limit bytes. */
async function get(path: string, accept: string, limit: number, signal: AbortSignal): Promise<Answer> {
  let r: Response;
  try {
    r = await fetch(path, { headers: { Accept: accept }, signal });
  } catch (why) {
    if (signal.aborted) throw why;
    throw new Passing("the node does not answer");
  }
  if (!r.ok) {
    const why = await r.json().then((j: { error?: unknown }) => (typeof j.error === "string" ? j.error : ""), () => "");
    if (r.status >= 500 && r.status !== 500) throw new Passing(why);
    throw new NotShown(r.status, why);
  }
  if (Number(r.headers.get("Content-Length") ?? 0) > limit) throw new NotShown(422, "");
  try {
    const body = await r.arrayBuffer();
    const type = r.headers.get("Content-Type") ?? "";
    return { body, type, syntax: /transfer-syntax="?([0-9.]+)/.exec(type)?.[1] ?? "" };
  } catch (why) {
    if (signal.aborted) throw why;
    throw new Passing("the answer broke off");
  }
}

async function decode(m: Module, syntax: string, data: Uint8Array<ArrayBuffer>): Promise<Frame> {
  if (jpegs.includes(syntax)) return decodeJPEG(m, data);
  const { bits, rgba } = samplesOf(m, syntax, data);
  return bits ? grey(m, bits) : colours(m, rgba);
}

/** JPEG by the browser. Of grey ones the values are taken out again, so that windows work on them. */
async function decodeJPEG(m: Module, data: Uint8Array<ArrayBuffer>): Promise<Frame> {
  const head = readJPEGHead(data);
  if (!head || !browserDecodes(head, m)) throw new NotHere("a JPEG that browsers show otherwise");
  const bitmap = await createImageBitmap(new Blob([data], { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  if (m.samples === 3) return picture(m, bitmap);
  const ctx = new OffscreenCanvas(m.columns, m.rows).getContext("2d", { willReadFrequently: true });
  if (!ctx) throw new Broken("no canvas");
  ctx.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = ctx.getImageData(0, 0, m.columns, m.rows).data;
  const one = new Uint8Array(m.rows * m.columns);
  for (let i = 0; i < one.length; i++) one[i] = rgba[4 * i] as number;
  // Eight bits that were to be stored in sixteen.
  const eight = { ...m, allocated: 8, stored: Math.min(m.stored, 8), high: Math.min(m.stored, 8) - 1 };
  return isGrey(m) ? grey(eight, bitsOf(eight, one)) : colours(eight, paletted(eight, bitsOf(eight, one)));
}

function grey(m: Module, bits: Bits): Frame {
  return { module: m, bits, bitmap: undefined, bytes: bits.byteLength, close() {} };
}

async function colours(m: Module, rgba: Uint8ClampedArray<ArrayBuffer>): Promise<Frame> {
  return picture(m, await createImageBitmap(new ImageData(rgba, m.columns, m.rows), { premultiplyAlpha: "none", colorSpaceConversion: "none" }));
}

function picture(m: Module | undefined, bitmap: ImageBitmap): Frame {
  return { module: m, bits: undefined, bitmap, bytes: bitmap.width * bitmap.height * 4, close: () => bitmap.close() };
}

/** Fetches the header of an instance. */
export async function header(root: string, signal = new AbortController().signal): Promise<Elements> {
  const a = await get(`${root}/metadata`, "application/dicom+json", 64 << 20, signal);
  const list: unknown = JSON.parse(new TextDecoder().decode(a.body));
  const one: unknown = Array.isArray(list) ? list[0] : undefined;
  if (typeof one !== "object" || one === null) throw new NotShown(422, "");
  return one as Elements;
}

/** The Transfer Syntax UID that a header names: Available Transfer Syntax UID (0008,3002). */
export function syntaxOf(header: Elements): string {
  return text(header, "00083002");
}
