// Samples by the chunk, from the server: a day of Holter costs what is looked at.

import { exact, type Group, isMissing, readWindow, type Recording, type Window } from "./recording";

/** Seconds of a chunk: a recording at rest is one, a page of Holter too. */
const CHUNK_S = 30;

/** Samples that are kept over all chunks and leads: 32 MB where they have 16 bits. */
const BUDGET = 16 << 20;

/** Minutes of spikes that are kept. */
const MINUTES = 64;

export class Store {
  private readonly chunks = new Map<string, { window: Promise<Window>; cost: number }>(); // the oldest first

  constructor(private readonly base: string, private readonly rec: Recording) {}

  private held = 0; // samples

  private chunkOf(g: Group): number {
    return Math.max(1, Math.min(g.window, Math.ceil(exact(g.rate_hz) * CHUNK_S)));
  }

  private chunk(group: number, number: number, size: number): Promise<Window> {
    const key = group + "/" + number;
    const known = this.chunks.get(key);
    if (known) {
      this.chunks.delete(key);
      this.chunks.set(key, known);
      return known.window;
    }
    const cost = size * this.rec.groups[group]!.leads.length;
    const window = this.fetch(`/samples?group=${group}&from=${number * size}&count=${size}`).then(readWindow);
    window.catch(() => this.forget(key)); // asked for again next time
    this.chunks.set(key, { window, cost });
    this.held += cost;
    for (const old of this.chunks.keys()) {
      if (this.held <= BUDGET || old === key) break;
      this.forget(old);
    }
    return window;
  }

  private forget(key: string): void {
    this.held -= this.chunks.get(key)?.cost ?? 0;
    this.chunks.delete(key);
  }

  private readonly minutes = new Map<number, Promise<[number, string][]>>(); // spikes

  /** The pacemaker's spikes of a stretch, s on the recording's time line, and the lead of each, "" for all. */
  async spikes(from: number, to: number): Promise<[number, string][]> {
    if (this.rec.spikes === 0) return [];
    const wanted: Promise<[number, string][]>[] = [];
    for (let minute = Math.max(0, Math.floor(from / 60)); minute * 60 < to; minute++) {
      let found = this.minutes.get(minute);
      if (!found) {
        found = this.fetch(`/spikes?from=${minute * 60000}&to=${minute * 60000 + 60000}`).then((body) => JSON.parse(new TextDecoder().decode(body)) as [number, string][]);
        found.catch(() => this.minutes.delete(minute));
        if (this.minutes.size >= MINUTES) this.minutes.delete(this.minutes.keys().next().value!);
        this.minutes.set(minute, found);
      }
      wanted.push(found);
    }
    return (await Promise.all(wanted)).flat().map(([ms, lead]) => [ms / 1000, lead]);
  }

  async fetch(path: string): Promise<ArrayBuffer> {
    const answer = await fetch(this.base + path, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.arrayBuffer();
  }

  /** The counts of a lead from one sample to another, as values: count × scale + offset, NaN where missing. */
  async values(group: number, lead: number, from: number, to: number, scale: number, offset: number): Promise<Float64Array> {
    const g = this.rec.groups[group];
    const out = new Float64Array(Math.max(0, to - from)).fill(NaN);
    if (!g) return out;
    const size = this.chunkOf(g);
    const first = Math.floor(from / size);
    const last = Math.floor((Math.min(to, g.samples) - 1) / size);
    const windows = await Promise.all(Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => this.chunk(group, first + i, size)));
    for (const w of windows) {
      const counts = w.counts[lead];
      if (!counts) continue;
      const a = Math.max(from, w.from);
      const b = Math.min(to, w.from + w.count);
      for (let i = a; i < b; i++) {
        if (!isMissing(w, lead, i - w.from)) out[i - from] = counts[i - w.from]! * scale + offset;
      }
    }
    return out;
  }
}
