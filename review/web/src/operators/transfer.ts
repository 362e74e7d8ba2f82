// One line of the list: a file on its way, and what became of it.
import { text } from "../frame/text";
import type { Parcel } from "./choose";
import type { Receipt } from "./request";

export type State = "waiting" | "sending" | "kept" | "refused" | "failed" | "stopped";

const tones: Record<string, string> = { stored: "ok", duplicate: "info", conflict: "warn", quarantined: "warn", refused: "bad" };

/** A size as people read it, as the pages of the node write it: powers of 1,000. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let v = bytes, u = 0;
  while (v >= 999.5 && u < units.length - 1) {
    v /= 1000;
    u++;
  }
  return `${u === 0 ? v : v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0)} ${units[u]}`;
}

export class Transfer {
  state: State = "waiting";
  sent = 0;
  readonly bytes: number;
  readonly line: HTMLLIElement;
  abort = new AbortController();
  private readonly bar: HTMLProgressElement;
  private readonly said: HTMLElement;

  constructor(readonly parcel: Parcel, template: HTMLTemplateElement, again: (t: Transfer) => void, stop: (t: Transfer) => void) {
    this.bytes = parcel.items.reduce((n, i) => n + i.size, 0);
    this.line = (template.content.cloneNode(true) as DocumentFragment).querySelector("li")!;
    this.bar = this.line.querySelector("progress")!;
    this.said = this.line.querySelector(".said")!;
    const file = this.line.querySelector<HTMLElement>(".file")!;
    file.textContent = parcel.name;
    this.bar.setAttribute("aria-label", parcel.name);
    for (const button of this.line.querySelectorAll("button, a")) button.setAttribute("aria-label", `${button.textContent}: ${parcel.name}`);
    this.line.querySelector(".again")!.addEventListener("click", () => again(this));
    this.line.querySelector(".stop")!.addEventListener("click", () => stop(this));
    this.wait();
  }

  get done(): boolean {
    return this.state !== "waiting" && this.state !== "sending";
  }

  private show(badge: string, tone: string, said: string, why = "", next = ""): void {
    const mark = this.line.querySelector<HTMLElement>(".badge")!;
    mark.textContent = badge;
    mark.className = `badge ${tone}`;
    this.line.dataset.state = this.state;
    this.said.textContent = said;
    this.line.querySelector(".why")!.textContent = why;
    this.line.querySelector(".next")!.textContent = next;
    this.bar.hidden = this.done;
    this.line.querySelector<HTMLElement>(".stop")!.hidden = this.done;
    this.line.querySelector<HTMLElement>(".again")!.hidden = (this.state !== "failed" && this.state !== "stopped") || this.parcel.items.length === 0;
  }

  wait(): void {
    this.state = "waiting";
    this.show(text("operators.up.waiting"), "", this.together());
  }

  /** How a parcel of several files is told. */
  private together(): string {
    const n = this.parcel.items.length;
    if (n === 0) return "";
    return n > 1 ? `${text("operators.up.together", n)} · ${size(this.bytes)}` : size(this.bytes);
  }

  /** Bytes that are there or on their way. */
  progress(sent: number): void {
    this.state = "sending";
    this.sent = Math.min(sent, this.bytes);
    this.bar.value = this.bytes > 0 ? this.sent / this.bytes : 1;
    const whole = this.sent >= this.bytes;
    this.say(whole ? text("operators.up.checking") : text("operators.up.sending", size(this.sent), size(this.bytes)));
  }

  /** What goes on, in words. */
  say(words: string): void {
    this.state = "sending";
    this.show(this.bytes > 0 ? `${Math.floor((100 * this.sent) / this.bytes)} %` : "…", "info", words);
  }

  finish(receipt: Receipt): void {
    const focused = this.line.contains(document.activeElement);
    this.state = receipt.status === "refused" ? "refused" : "kept";
    this.sent = this.bytes;
    const reason = receipt.reason ?? "";
    const known = (key: string, otherwise: string) => (text(key) === key ? otherwise : text(key));
    this.show(known(`operators.status.${receipt.status}`, receipt.status), tones[receipt.status] ?? "", this.together(),
      reason ? known(`operators.reason.${reason}`, reason) : known(`operators.why.${receipt.status}`, ""),
      reason ? known(`operators.todo.${reason}`, text("operators.todo.internal")) : this.quiet(receipt.status) ? "" : known(`operators.next.${receipt.status}`, ""));
    if (receipt.id) this.link(".receipt", `/pages/receipts/${encodeURIComponent(receipt.id)}`);
    if (receipt.study && receipt.status !== "refused" && receipt.status !== "quarantined") {
      this.link(".study", `/pages/studies/${encodeURIComponent(receipt.study)}`);
    }
    this.refocus(focused);
  }

  /** Brings the focus back that was on a button which is gone. */
  private refocus(focused: boolean): void {
    if (focused) this.line.querySelector<HTMLElement>("a:not([hidden]), button:not([hidden])")?.focus();
  }

  /** Nothing is left to do: a list of hundreds need not say so each time. */
  private quiet(status: string): boolean {
    return status === "stored" || status === "duplicate";
  }

  private link(selector: string, href: string): void {
    const a = this.line.querySelector<HTMLAnchorElement>(selector)!;
    a.href = href;
    a.hidden = false;
  }

  fail(why: string): void {
    const focused = this.line.contains(document.activeElement);
    this.state = "failed";
    this.show(text("operators.up.failed"), "bad", this.together(), why);
    this.refocus(focused);
  }

  stopped(): void {
    this.state = "stopped";
    this.show(text("operators.up.stopped"), "", this.together());
  }
}
