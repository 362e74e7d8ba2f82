// The upload page: what is chosen or dropped goes at once, a few files at a time, each until the node has kept or refused it.
import { text } from "../frame/text";
import { type Item, type Parcel, dropped, itemOf, mostFiles, parcels, together } from "./choose";
import { type Origin, sendPlain } from "./plain";
import { Failure, type Receipt } from "./request";
import { Transfer, size } from "./transfer";
import { dropTus, sendTus, unfinished } from "./tus";
import { BadZip } from "./zip";

/** Files at once: more do not make a thin line faster, and each waits for a disk. */
const lanes = 3;

/** Waits between tries, seconds; the last one again and again. Tries without progress after which a person is asked. */
const waits = [1, 2, 4, 8, 15, 30];
const tries = 12;

const find = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;

export class Uploads {
  private readonly form = find<HTMLFormElement>("upload");
  private readonly list = find("list");
  private readonly template = find<HTMLTemplateElement>("transfer");
  private readonly threshold = Number(this.form.dataset.threshold);
  private readonly all: Transfer[] = [];
  private readonly queue: Transfer[] = [];
  private running = 0;
  private painting = false;

  start(): void {
    this.form.hidden = false;
    find("send").hidden = true;
    find("drop-here").hidden = false;
    find("origin").hidden = false;
    const files = find<HTMLInputElement>("files"), folder = find<HTMLInputElement>("folder");
    files.required = false;
    files.closest(".row")!.classList.add("ready");
    find("folder-field").hidden = !("webkitdirectory" in folder) || matchMedia("(pointer: coarse)").matches;
    for (const input of [files, folder]) {
      input.addEventListener("change", () => {
        const chosen = [...(input.files ?? [])].map(itemOf);
        input.value = ""; // the same file may be chosen again
        void this.take(chosen);
      });
    }
    this.form.addEventListener("submit", (e) => e.preventDefault());
    this.dropping();
    this.origins();
    find("clear").addEventListener("click", () => this.clear());
    addEventListener("beforeunload", (e) => {
      if (this.running + this.queue.length > 0) e.preventDefault();
    });
    this.left();
  }

  private dropping(): void {
    const place = find("drop");
    addEventListener("dragover", (e) => {
      e.preventDefault();
      place.classList.add("over");
    });
    addEventListener("dragleave", (e) => {
      if (!e.relatedTarget) place.classList.remove("over");
    });
    addEventListener("drop", (e) => {
      e.preventDefault();
      place.classList.remove("over");
      if (e.dataTransfer) void dropped(e.dataTransfer).then((items) => this.take(items));
    });
  }

  /** Device and facility are the same each day at one desk. */
  private origins(): void {
    for (const id of ["device", "facility"]) {
      const input = find<HTMLInputElement>(id), key = `tributary-${id}`;
      try {
        input.value = localStorage.getItem(key) ?? "";
        input.addEventListener("change", () => localStorage.setItem(key, input.value.trim()));
      } catch {
        // a browser that keeps nothing
      }
    }
  }

  private left(): void {
    const n = unfinished(), notice = find("unfinished");
    notice.hidden = n === 0 || this.running > 0;
    notice.textContent = text("operators.up.unfinished", n);
  }

  /** Takes what was chosen. */
  private async take(items: Item[]): Promise<void> {
    if (items.length === 0) return;
    find("transfers").hidden = false;
    if (items.some((i) => /\.zip$/i.test(i.path))) this.tell(text("operators.up.opening"));
    const chosen = await parcels(items);
    const told: string[] = [];
    for (const name of chosen.bad) this.add({ name, items: [] }).fail(text("operators.up.badzip"));
    for (const name of chosen.empty) this.add({ name, items: [] }).fail(text("operators.up.emptyzip"));
    if (chosen.unpacked > 0) told.push(text("operators.up.unpacked", chosen.unpacked));
    if (chosen.passed > 0) told.push(text("operators.up.passed", chosen.passed));
    if (chosen.parcels.length > mostFiles) {
      told.push(text("operators.up.toomany", mostFiles));
      chosen.parcels.length = mostFiles;
    }
    for (const p of chosen.parcels) this.queue.push(this.add(p));
    this.tell(told.join(" "));
    this.pump();
  }

  private add(parcel: Parcel): Transfer {
    const t = new Transfer(parcel, this.template, (t) => this.again(t), (t) => this.stop(t));
    this.all.push(t);
    this.list.append(t.line);
    return t;
  }

  private again(t: Transfer): void {
    if (t.parcel.items.length === 0) return;
    t.abort = new AbortController();
    t.wait();
    this.queue.push(t);
    t.line.querySelector<HTMLElement>(".stop")!.focus();
    this.pump();
  }

  private stop(t: Transfer): void {
    const at = this.queue.indexOf(t);
    if (at >= 0) this.queue.splice(at, 1);
    t.abort.abort();
    t.stopped();
    t.line.querySelector<HTMLElement>(".again")!.focus();
    for (const i of t.parcel.items) if (this.byPieces(t.parcel)) void i.open().then((b) => dropTus(t.parcel.name, b)).catch(() => undefined);
    this.paint();
  }

  private clear(): void {
    for (const t of this.all.filter((t) => t.state === "kept" || t.state === "stopped")) {
      t.line.remove();
      this.all.splice(this.all.indexOf(t), 1);
    }
    find("files").focus();
    this.paint();
  }

  private pump(): void {
    while (this.running < lanes && this.queue.length > 0) {
      const t = this.queue.shift()!;
      this.running++;
      void this.send(t).finally(() => {
        this.running--;
        this.left();
        this.pump();
        this.paint();
      });
    }
    this.left();
    this.paint();
  }

  private byPieces(p: Parcel): boolean {
    return p.items.length === 1 && p.items[0]!.size > this.threshold;
  }

  /** Sends one parcel until the node has spoken, or a person must. It never rejects. */
  private async send(t: Transfer): Promise<void> {
    const signal = t.abort.signal;
    const origin: Origin = { device: find<HTMLInputElement>("device").value.trim(), facility: find<HTMLInputElement>("facility").value.trim() };
    let best = 0;
    for (let n = 1; ; n++) {
      try {
        t.progress(best);
        const receipt = await this.once(t, origin, (sent) => {
          if (signal.aborted) return;
          if (sent > best) {
            if (this.byPieces(t.parcel)) n = 0; // the line works
            best = sent;
          }
          t.progress(sent);
          this.paint();
        });
        if (signal.aborted) return;
        if (receipt.reason === "unsupported-format" && t.parcel.archive) {
          await this.unpack(t);
        } else {
          t.finish(receipt);
        }
        return;
      } catch (e) {
        if (signal.aborted) return;
        if (e instanceof BadZip) {
          t.fail(text("operators.up.badmember"));
          return;
        }
        const why = e instanceof Failure ? e : new Failure("unreadable");
        if (!why.passing || n >= tries) {
          t.fail(text(why.kind === "line" || why.kind === "busy" ? "operators.up.offline" : `operators.up.${why.kind}`, why.status));
          this.tell(`${t.parcel.name}: ${text("operators.up.failed")}`);
          return;
        }
        if (!this.byPieces(t.parcel)) best = 0;
        const wait = Math.max(Math.min(why.after, 60), waits[Math.min(n, waits.length) - 1] ?? 1);
        t.say(text(why.kind === "busy" ? "operators.up.busy" : "operators.up.retrying", wait, n));
        await pause(wait * 1000 * (0.75 + Math.random() / 2), signal);
        if (signal.aborted) return;
      }
    }
  }

  private async once(t: Transfer, origin: Origin, sent: (bytes: number) => void): Promise<Receipt> {
    const opened = await Promise.all(t.parcel.items.map(async (i) => ({ name: i.path.slice(i.path.lastIndexOf("/") + 1), body: await i.open() })));
    const first = opened[0]!;
    if (!this.byPieces(t.parcel)) return sendPlain(opened, origin, t.abort.signal, sent);
    return sendTus(first.name, first.body, origin, t.abort.signal, { sent, resumed: () => t.say(text("operators.up.resumed")) });
  }

  /** The node did not take an archive as one recording: its members go in its place. */
  private async unpack(t: Transfer): Promise<void> {
    const inside = await together(t.parcel.archive!);
    this.tell(text("operators.up.unpacked", t.parcel.archive!.length));
    t.line.remove();
    this.all.splice(this.all.indexOf(t), 1);
    for (const p of inside) this.queue.push(this.add(p));
  }

  private tell(words: string): void {
    find("all-live").textContent = words;
  }

  /** Shows the sum, a few times a second at most. */
  private paint(): void {
    if (this.painting) return;
    this.painting = true;
    setTimeout(() => {
      this.painting = false;
      const sum = (of: (t: Transfer) => number) => this.all.reduce((n, t) => n + of(t), 0);
      const bytes = sum((t) => t.bytes), sent = sum((t) => (t.done ? t.bytes : t.sent)), done = sum((t) => Number(t.done));
      const bar = find<HTMLProgressElement>("all");
      bar.value = bytes > 0 ? sent / bytes : done === this.all.length ? 1 : 0;
      find("all-said").textContent = this.all.length === 0 ? "" : text("operators.up.all", done, this.all.length, size(sent), size(bytes));
      find("clear").hidden = !this.all.some((t) => t.state === "kept" || t.state === "stopped");
      if (done === this.all.length && done > 0 && this.running === 0) {
        const kept = sum((t) => Number(t.state === "kept"));
        this.tell(text("operators.up.done", kept, done - kept));
        find("all-said").textContent = text("operators.up.done", kept, done - kept);
      }
    }, 150);
  }
}

/** Waits; less when the network comes back, or a person stops it. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}

/** On a node that takes no files: whether the proxy in front of it brings them to one that does. */
export async function takenElsewhere(): Promise<boolean> {
  try {
    const answer = await fetch("/upload/tus/", { method: "OPTIONS" });
    return answer.ok && answer.headers.has("Tus-Version");
  } catch {
    return false;
  }
}
