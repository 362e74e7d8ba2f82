// Which frame is due at a time, and how many of those that were due were shown. Frames that are late are dropped: the
// clock never waits for them, so that a loop of ten seconds takes ten seconds.

/** Counts of frames that were due while playing. asked is the sum of the others, and of one that is still due. */
export interface Counts {
  asked: number;
  shown: number;
  late: number; // the picture was there, but the page did not come to draw in time
  missed: number; // the picture was not there in time
}

/** A longer time without a tick is a tab in the background, ms: nobody looked, and nothing is counted. */
const away = 1000;

export class Clock {
  readonly counts: Counts = { asked: 0, shown: 0, late: 0, missed: 0 };
  loop = true;
  private speed = 1;
  private running = false;
  private media = 0; // ms of the loop, beyond its end in later rounds
  private last = 0; // time of the last tick
  private due = -1; // the frame that is due, over all rounds; -1 before the first
  private drawn = true; // whether it was shown

  constructor(private readonly starts: Float64Array) {}

  private get count(): number {
    return this.starts.length - 1;
  }

  private get duration(): number {
    return this.starts[this.count] as number;
  }

  get playing(): boolean {
    return this.running;
  }

  get rate(): number {
    return this.speed;
  }

  /** Starts with a frame. */
  play(frame: number, now: number): void {
    if (this.count < 2) return;
    if (!this.loop && frame >= this.count - 1) frame = 0;
    this.running = true;
    this.seek(frame, now);
  }

  pause(): void {
    this.settle();
    this.running = false;
    this.due = -1;
  }

  /** Goes to a frame; playing goes on from there. */
  seek(frame: number, now: number): void {
    this.settle();
    this.media = this.starts[frame] ?? 0;
    this.last = now;
    this.due = -1;
  }

  setSpeed(speed: number): void {
    this.speed = speed;
  }

  /** Counts what was due and is over. */
  private settle(): void {
    if (this.due >= 0 && !this.drawn) this.counts.missed++;
    this.drawn = true;
  }

  /**
   * Moves on to now and returns the frame that is due. has tells whether a frame's picture is there; the one that is
   * due counts as shown when it is, since the caller then draws it.
   */
  tick(now: number, has: (frame: number) => boolean): number {
    const passed = now - this.last;
    this.last = now;
    if (passed > away) this.due = -1; // go on where it was
    else this.media += Math.max(0, passed) * this.speed;
    if (!this.loop && this.media >= this.duration) {
      this.media = this.starts[this.count - 1] as number;
      this.running = false;
    }
    const rounds = Math.floor(this.media / this.duration);
    const frame = this.at(this.media - rounds * this.duration);
    const due = rounds * this.count + frame;
    if (due !== this.due) {
      this.settle();
      for (let skipped = this.due < 0 ? due : this.due + 1; skipped < due; skipped++) {
        this.counts.asked++;
        if (has(skipped % this.count)) this.counts.late++;
        else this.counts.missed++;
      }
      this.due = due;
      this.drawn = false;
      this.counts.asked++;
    }
    if (!this.drawn && has(frame)) {
      this.drawn = true;
      this.counts.shown++;
    }
    return frame;
  }

  /** The frame that is due at a time of one round. */
  private at(millis: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] as number) <= millis + 1e-6) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
