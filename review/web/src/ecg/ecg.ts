// The ECG viewer: what is asked for, what is drawn, and what is said about it.

import { typing } from "../frame/keys";
import { text } from "../frame/text";
import { calibration, screenScale } from "./calibrate";
import { type DisplayFilters, isOn, paperFilter } from "./filters";
import { type Asked, type Layout, type Plan, plan } from "./layout";
import { fiducials, footOf } from "./notes";
import { Calipers } from "./overlay";
import { drawOverview } from "./overview";
import { Paper } from "./paper";
import type { Recording } from "./recording";
import { clock, NOMINAL, seconds } from "./scale";
import { readPlan, spikesIn } from "./series";
import { Store } from "./store";
import { collect, type View, views } from "./tracks";

const $ = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
const chosen = (id: string) => $<HTMLSelectElement>(id).value;

/**
 * Pixels of the canvas for each CSS pixel of a print, 307 dpi. Chromium prints what is drawn on a canvas as lines, and
 * rounds the scale down to 1/64: only 64 divided by a whole number keeps the millimetres.
 */
const PRINT_DENSITY = 64 / 20;

class Viewer {
  private readonly store: Store;
  private readonly views: View[];
  private view: View | undefined;
  private start = 0; // s after the view's first sample
  private plan: Plan | null = null;
  private turn = 0; // of the drawing that was asked for last
  private printing = false;
  private readonly paper = new Paper($<HTMLCanvasElement>("ecg-paper"), { notRecorded: text("ecg.js.notrecorded"), noSamples: text("ecg.js.nosamples") });
  private readonly medianPaper = new Paper($<HTMLCanvasElement>("ecg-median-paper"), { notRecorded: text("ecg.js.notrecorded"), noSamples: text("ecg.js.nosamples") });
  private readonly calipers: Calipers;

  constructor(private readonly rec: Recording, private readonly root: HTMLElement) {
    this.store = new Store(root.dataset["base"]!, rec);
    this.views = views(rec);
    this.view = this.views[0];
    this.calipers = new Calipers($("ecg-sheet"), document.getElementById("ecg-lines") as unknown as SVGSVGElement, $("ecg-handles"),
      $("ecg-calipers"), $("ecg-readings"), $("ecg-live"), (t) => this.reveal(t));
    $("ecg-tools").hidden = this.views.length === 0;
    $("ecg-main").hidden = this.views.length === 0;
    $("ecg-below").hidden = false;
    this.controls();
    this.keys();
    this.prints();
    this.chooseView();
  }

  private chooseView(): void {
    if (this.view) {
      const select = $<HTMLSelectElement>("ecg-rhythm");
      select.replaceChildren(...this.view.tracks.order.map((name) => new Option(name, name, false, name === "II")));
      this.start = 0;
      void drawOverview($<HTMLCanvasElement>("ecg-overview"), this.rec, this.store, this.view, (t) => this.goTo(t));
    }
    this.draw();
  }

  private asked(): Asked {
    const { px } = screenScale();
    const room = this.printing ? Infinity : $("ecg-scroll").clientWidth / px - 20;
    return {
      layout: chosen("ecg-layout") as Layout | "auto", cabrera: $<HTMLInputElement>("ecg-cabrera").checked,
      rhythm: [chosen("ecg-rhythm")], speed: Number(chosen("ecg-speed")), gain: Number(chosen("ecg-gain")), start: this.start,
      pageMM: this.printing ? 250 : Math.floor(room / 5) * 5,
    };
  }

  private filters(): DisplayFilters {
    return { highPassHz: Number(chosen("ecg-hp")), lowPassHz: Number(chosen("ecg-lp")), notchHz: Number(chosen("ecg-notch")) };
  }

  /** Draws what is asked for. The picture before stays until the samples are there. */
  draw(): void {
    const turn = ++this.turn;
    this.root.setAttribute("aria-busy", "true");
    this.redraw(turn).then(
      () => this.settled(turn, false),
      (err: unknown) => {
        this.settled(turn, true);
        if (turn === this.turn) console.warn("ecg:", String(err));
      },
    );
  }

  private settled(turn: number, failed: boolean): void {
    if (turn !== this.turn) return;
    const fault = $("ecg-fault");
    fault.hidden = !failed;
    fault.textContent = failed ? text("ecg.js.fault") : "";
    this.root.setAttribute("aria-busy", "false");
    this.root.dataset["drawn"] = String(turn); // for whoever waits for a picture
  }

  private async redraw(turn: number): Promise<void> {
    const asked = this.asked();
    const filters = this.filters();
    const { px } = screenScale();
    const density = this.printing ? (PRINT_DENSITY * NOMINAL) / px : Math.max(1, window.devicePixelRatio);
    await this.median(asked, filters, px, density);
    const view = this.view;
    const p = view && plan(view.tracks, asked);
    if (!view || !p) return;
    const [drawn, spikes] = await Promise.all([
      readPlan(this.rec, this.store, p, filters, asked.gain), spikesIn(this.store, p),
    ]);
    if (turn !== this.turn) return;
    this.plan = p;
    this.start = p.start;
    const foot = footOf(this.rec, view.tracks, p, drawn, filters, asked, spikes.length > 0);
    this.paper.draw(p, drawn, spikes, [], foot, asked.speed, asked.gain, px, density);
    // What the canvas shows, for screen readers and for tests: places in mm of the paper.
    const canvas = this.paper.canvas;
    canvas.ariaLabel = text("ecg.js.paper", p.cells.filter((c) => c.track).map((c) => c.name).join(" "), asked.speed, asked.gain, foot.right, foot.warning || text("ecg.js.off"));
    canvas.dataset["scale"] = JSON.stringify({ px, density, width: p.width, height: p.height, layout: p.layout });
    canvas.dataset["cells"] = JSON.stringify(p.cells.map((c, i) => ({
      name: c.name, x: c.x, y: c.y, w: c.w, t0: c.t0, dur: c.dur, recorded: c.track !== null, shift: drawn[i]!.shift,
    })));
    $("ecg-caption").textContent = [foot.scale, foot.right, foot.warning, ...foot.notes].filter(Boolean).join(" · ");
    const filtered = $("ecg-filtered");
    filtered.hidden = foot.warning === "";
    filtered.textContent = foot.warning;
    this.calipers.show({ plan: p, drawn, speed: asked.speed, gain: asked.gain, px, filtered: foot.warning !== "" });
    this.timeline(p);
    this.links(asked, filters);
  }

  /** Median beats have a paper of their own. */
  private async median(asked: Asked, filters: DisplayFilters, px: number, density: number): Promise<void> {
    const ts = collect(this.rec, (g) => g.kind === "median");
    const p = plan(ts, { ...asked, layout: "median", start: 0 });
    if (!p) return;
    const drawn = await readPlan(this.rec, this.store, p, filters, asked.gain);
    const foot = footOf(this.rec, ts, p, drawn, filters, asked, false);
    foot.scale = text("ecg.js.median") + " · " + foot.scale;
    $("ecg-median").hidden = false;
    this.medianPaper.draw(p, drawn, [], fiducials(this.rec), foot, asked.speed, asked.gain, px, density);
    this.medianPaper.canvas.ariaLabel = text("ecg.js.median") + " · " + [foot.scale, foot.right, ...foot.notes].join(" · ");
  }

  private timeline(p: Plan): void {
    const long = p.total > p.shown + 0.02;
    $("ecg-time").hidden = !long;
    if (!long) return;
    const slider = $<HTMLInputElement>("ecg-slider");
    slider.max = String(p.total - p.shown);
    slider.value = String(p.start);
    const stretch = text("ecg.js.of", clock(p.start, p.total), clock(p.start + p.shown, p.total), clock(p.total, p.total));
    slider.setAttribute("aria-valuetext", stretch);
    $("ecg-stretch").textContent = stretch;
    const at = $<HTMLInputElement>("ecg-at");
    if (document.activeElement !== at) at.value = clock(p.start, p.total).replace(" s", "");
    $("ecg-overview").dispatchEvent(new CustomEvent("stretch", { detail: { from: p.start / p.total, to: (p.start + p.shown) / p.total } }));
    for (const [id, off] of [["ecg-first", p.start <= 0], ["ecg-back", p.start <= 0], ["ecg-forward", p.start + p.shown >= p.total - 1e-6], ["ecg-last", p.start + p.shown >= p.total - 1e-6]] as const) {
      $(id).ariaDisabled = String(off);
    }
  }

  /** The server's paper as it is shown here, as far as it draws that. */
  private links(asked: Asked, filters: DisplayFilters): void {
    for (const [id, type] of [["ecg-pdf", "application/pdf"], ["ecg-png", "image/png"]] as const) {
      const q = new URLSearchParams({ accept: type, lang: this.root.dataset["paper"]! });
      if (asked.layout === "6x2" && asked.cabrera) q.set("layout", "cabrera");
      else if (asked.layout !== "auto") q.set("layout", asked.layout);
      if (asked.speed <= 50) q.set("speed", String(asked.speed));
      q.set("gain", String(asked.gain));
      if (isOn(filters)) q.set("filter", paperFilter(filters));
      $<HTMLAnchorElement>(id).href = this.root.dataset["rendered"] + "?" + q.toString();
    }
  }

  private goTo(start: number): void {
    this.start = Math.max(0, start);
    this.draw();
  }

  /** Shows a time of the recording's time line. */
  private reveal(t: number): void {
    const p = this.plan;
    if (!p) return;
    const at = t - p.from;
    if (at < p.start || at > p.start + p.shown) this.goTo(at - p.shown / 4);
  }

  private turnPage(pages: number): void {
    if (this.plan) this.goTo(this.plan.start + pages * this.plan.shown);
  }

  private controls(): void {
    $("ecg-tools").addEventListener("submit", (e) => e.preventDefault());
    const fold = $("ecg-fold"); // on small screens, so that the paper is not two screens down
    fold.addEventListener("click", () => {
      fold.ariaExpanded = String(!$("ecg-tools").classList.toggle("folded"));
    });
    const viewSelect = $<HTMLSelectElement>("ecg-view");
    viewSelect.replaceChildren(...this.views.map((v) => {
      const kind = text(v.kind === "rhythm" ? "ecg.js.rhythm" : "ecg.js.full");
      return new Option(v.group < 0 ? kind : text("ecg.js.group", kind, v.group + 1), v.key);
    }));
    $("ecg-view-field").hidden = this.views.length < 2;
    viewSelect.addEventListener("change", () => {
      this.view = this.views.find((v) => v.key === viewSelect.value) ?? this.view;
      this.calipers.clear();
      this.chooseView();
    });
    for (const id of ["ecg-layout", "ecg-rhythm", "ecg-speed", "ecg-gain", "ecg-cabrera", "ecg-hp", "ecg-lp", "ecg-notch"]) {
      $(id).addEventListener("change", () => this.draw());
    }
    const measure = $("ecg-measure");
    measure.addEventListener("click", () => {
      this.calipers.measuring = !this.calipers.measuring;
      measure.ariaPressed = String(this.calipers.measuring);
      $("ecg-sheet").classList.toggle("measuring", this.calipers.measuring);
    });
    $("ecg-add").addEventListener("click", () => this.calipers.add());
    $("ecg-clear").addEventListener("click", () => {
      this.calipers.clear();
      $("ecg-add").focus();
    });
    const snap = $<HTMLInputElement>("ecg-snap");
    snap.addEventListener("change", () => (this.calipers.snapping = snap.checked));
    $("ecg-print").addEventListener("click", () => window.print());
    $("ecg-first").addEventListener("click", () => this.goTo(0));
    $("ecg-back").addEventListener("click", () => this.turnPage(-1));
    $("ecg-forward").addEventListener("click", () => this.turnPage(1));
    $("ecg-last").addEventListener("click", () => this.goTo(Number.MAX_SAFE_INTEGER));
    $<HTMLInputElement>("ecg-slider").addEventListener("input", (e) => this.goTo(Number((e.target as HTMLInputElement).value)));
    const at = $<HTMLInputElement>("ecg-at");
    at.addEventListener("change", () => {
      const t = seconds(at.value);
      at.ariaInvalid = String(t === null);
      if (t !== null) this.goTo(t);
    });
    calibration(() => this.draw());
    let width = 0;
    new ResizeObserver(([entry]) => { // also when the page is zoomed
      const now = Math.round(entry!.contentRect.width);
      if (now !== width && !this.printing) {
        width = now;
        this.draw();
      }
    }).observe($("ecg-scroll"));
  }

  private keys(): void {
    document.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e)) return;
      // Letters do something only where the focus is on the paper or its calipers (WCAG 2.1.4).
      if (!(e.target as Element).closest("#ecg-main, #ecg-calipers")) return;
      switch (e.key) {
        case "c":
        case "C":
          this.calipers.add();
          break;
        case "m":
        case "M":
          if (!this.calipers.command("march")) return;
          break;
        case "s":
        case "S":
          if (!this.calipers.command("snap")) return;
          break;
        case "Delete":
          if (!this.calipers.command("remove")) return;
          break;
        default:
          if (e.target !== $("ecg-scroll") || !this.along(e.key)) return;
      }
      e.preventDefault();
    });
  }

  /** Moves a long recording by the keys of its paper. Returns whether there was somewhere to move. */
  private along(key: string): boolean {
    const p = this.plan;
    if (!p || p.total <= p.shown + 0.02) return false;
    switch (key) {
      case "ArrowLeft":
        this.goTo(p.start - p.shown / 5);
        return true;
      case "ArrowRight":
        this.goTo(p.start + p.shown / 5);
        return true;
      case "PageUp":
        this.turnPage(-1);
        return true;
      case "PageDown":
        this.turnPage(1);
        return true;
      case "Home":
        this.goTo(0);
        return true;
      case "End":
        this.goTo(Number.MAX_SAFE_INTEGER);
        return true;
    }
    return false;
  }

  /** Prints are to scale: the width of A4, in the millimetres of the printer. */
  private prints(): void {
    const to = (printing: boolean) => () => {
      this.printing = printing;
      this.draw();
    };
    window.addEventListener("beforeprint", to(true));
    window.addEventListener("afterprint", to(false));
  }
}

async function main(): Promise<void> {
  const root = $("ecg");
  if (!root || !$("ecg-tools")) return; // nothing to draw
  try {
    const answer = await fetch(root.dataset["base"] + "/recording", { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const rec = (await answer.json()) as Recording;
    new Viewer(rec, root);
  } catch (err) {
    const fault = $("ecg-fault");
    fault.hidden = false;
    fault.textContent = text("ecg.js.fault");
    console.warn("ecg:", String(err));
  }
}

void main();
