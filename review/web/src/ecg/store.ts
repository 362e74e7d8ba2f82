// Samples by the chunk, from the server: a day of Holter costs what is looked at.

import { type Group, isMissing, readWindow, type Recording, type Window } from "./recording";

/** Samples of a chunk over all leads, and how many chunks are kept: some 16 MB. */
const CHUNK = 64 * 1024;
const KEPT = 64;

export class Store {
  private readonly chunks = new Map<string, Promise<Window>>(); // the oldest first

  constructor(private readonly base: string, private readonly rec: Recording) {}

  private chunkOf(g: Group): number {
    return Math.max(1, Math.min(g.window, Math.max(1024, Math.floor(CHUNK / Math.max(1, g.leads.length)))));
  }

  private chunk(group: number, number: number, size: number): Promise<Window> {
    const key = group + "/" + number;
    let found = this.chunks.get(key);
    if (found) {
      this.chunks.delete(key);
    } else {
      found = this.fetch(`/samples?group=${group}&from=${number * size}&count=${size}`).then(readWindow);
      found.catch(() => this.chunks.delete(key)); // asked for again next time
    }
    this.chunks.set(key, found);
    for (const old of this.chunks.keys()) {
      if (this.chunks.size <= KEPT) break;
      this.chunks.delete(old);
    }
    return found;
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
        if (this.minutes.size >= KEPT) this.minutes.delete(this.minutes.keys().next().value!);
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
