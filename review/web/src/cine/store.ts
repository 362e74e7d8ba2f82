// Frames in memory, and which to fetch next: within a budget of bytes and of requests.

export interface Held {
  /** Memory that it takes, bytes. */
  readonly bytes: number;
  close(): void;
}

/** Frames behind the one that is shown that are worth keeping, for steps back. */
const behind = 4;

/** Decoded frames by number, within a budget. Those that will be needed last go first. */
export class FrameCache<T extends Held> {
  private readonly held = new Map<number, T>();
  private total = 0;

  constructor(readonly budget: number, private readonly count: number) {}

  get bytes(): number {
    return this.total;
  }

  get size(): number {
    return this.held.size;
  }

  has(frame: number): boolean {
    return this.held.has(frame);
  }

  get(frame: number): T | undefined {
    return this.held.get(frame);
  }

  /** Frames that are there, in ascending order. */
  frames(): number[] {
    return [...this.held.keys()].sort((a, b) => a - b);
  }

  /** Keeps a frame, and lets go of those farthest ahead of position, which a loop needs last; never of that one. */
  put(frame: number, value: T, position: number): void {
    this.remove(frame);
    this.held.set(frame, value);
    this.total += value.bytes;
    while (this.total > this.budget && this.held.size > 1) {
      let farthest = -1;
      let distance = -1;
      for (const f of this.held.keys()) {
        const ahead = (f - position + this.count) % this.count;
        const d = this.count - ahead <= behind ? this.count - ahead : ahead;
        if (f !== position && d > distance) {
          farthest = f;
          distance = d;
        }
      }
      if (farthest < 0) return;
      this.remove(farthest);
    }
  }

  remove(frame: number): void {
    const value = this.held.get(frame);
    if (!value) return;
    this.held.delete(frame);
    this.total -= value.bytes;
    value.close();
  }

  clear(): void {
    for (const frame of this.frames()) this.remove(frame);
  }
}

export interface Loads<T extends Held> {
  readonly count: number;
  readonly budget: number; // bytes
  readonly parallel: number; // requests at a time

  /** Fetches and decodes a frame. */
  load(frame: number, signal: AbortSignal): Promise<T>;
  /** Is told of each frame that came, or why one did not come. */
  came(frame: number): void;
  failed(frame: number, why: unknown): void;
  /** Milliseconds, ascending. */
  now(): number;
}

/** How often a frame is asked for again when the network fails. */
const tries = 3;

/** Fetches frames before they are needed. */
export class Store<T extends Held> {
  readonly cache: FrameCache<T>;
  private readonly loading = new Map<number, AbortController>();
  private readonly faults = new Map<number, number>();
  private position = 0;
  private lead = 0;
  private ahead = 1;
  private frameBytes = 0; // of the frames so far, the largest
  private stride = 1;
  private back = 0;
  private millis = 0; // that a frame takes to come: the longest of late
  private closed = false;

  constructor(private readonly how: Loads<T>) {
    this.cache = new FrameCache(how.budget, how.count);
  }

  /** Milliseconds from asking to having a frame. */
  get latency(): number {
    return this.millis;
  }

  /** Milliseconds between frames that come, when as many are asked for as may be. */
  get pace(): number {
    return this.millis / this.how.parallel;
  }

  /** Frames that are being fetched. */
  get pending(): number {
    return this.loading.size;
  }

  /** How many frames ahead fit: the budget less what is in flight and what is shown. */
  get room(): number {
    const fit = this.frameBytes > 0 ? Math.floor(this.how.budget / this.frameBytes) - this.how.parallel - behind - 1 : this.how.parallel;
    return Math.max(1, Math.min(fit, this.how.count));
  }

  /**
   * Says where the page is. Playing it needs frames from lead after position on: those before it come too late to be
   * drawn. ahead is how many are wanted; memory may allow fewer. Where not all can come in time, every stride-th comes first,
   * so that a loop moves evenly. Standing still, some frames behind are fetched as well.
   */
  want(position: number, lead: number, ahead: number, stride = 1, still = false): void {
    this.stride = stride;
    this.back = still ? Math.min(behind, this.how.count - 1) : 0;
    this.position = position;
    this.lead = lead;
    this.ahead = ahead;
    this.pump();
  }

  /** Lets a frame that failed be asked for again. */
  forgive(frame: number): void {
    this.faults.delete(frame);
  }

  close(): void {
    this.closed = true;
    for (const c of this.loading.values()) c.abort();
    this.loading.clear();
    this.cache.clear();
  }

  private wanted(frame: number): boolean {
    const d = (frame - this.position + this.how.count) % this.how.count;
    return d <= Math.min(this.ahead, this.room) + this.lead || this.how.count - d <= this.back;
  }

  private pump(): void {
    if (this.closed) return;
    for (const [frame, c] of this.loading) {
      if (!this.wanted(frame)) {
        c.abort();
        this.loading.delete(frame);
      }
    }
    const { count, parallel } = this.how;
    const last = Math.min(this.ahead, this.room, count - 1);
    for (const stride of this.stride > 1 ? [this.stride, 1] : [1]) {
      for (let k = 0; k <= last && this.loading.size < parallel; k++) {
        const frame = (this.position + (k + this.lead) % count) % count;
        if (frame % stride === 0) this.need(frame);
      }
    }
    for (let k = 1; k <= this.back && this.loading.size < parallel; k++) this.need((this.position - k + count) % count);
  }

  private need(frame: number): void {
    if (!this.cache.has(frame) && !this.loading.has(frame) && (this.faults.get(frame) ?? 0) < tries) void this.fetch(frame);
  }

  private async fetch(frame: number): Promise<void> {
    const control = new AbortController();
    this.loading.set(frame, control);
    const began = this.how.now();
    try {
      const value = await this.how.load(frame, control.signal);
      if (control.signal.aborted || this.closed) {
        value.close();
        return;
      }
      this.loading.delete(frame);
      const took = this.how.now() - began;
      this.millis = Math.max(took, 0.9 * this.millis + 0.1 * took);
      this.frameBytes = Math.max(this.frameBytes, value.bytes);
      this.faults.delete(frame);
      this.cache.put(frame, value, this.position);
      this.how.came(frame);
    } catch (why) {
      if (control.signal.aborted || this.closed) return;
      this.loading.delete(frame);
      this.faults.set(frame, why instanceof Passing ? (this.faults.get(frame) ?? 0) + 1 : tries);
      if ((this.faults.get(frame) ?? 0) >= tries) this.how.failed(frame, why);
    }
    this.pump();
  }
}

/** A fault that may be over when asked again: the network, a node that is busy. */
export class Passing extends Error {}
