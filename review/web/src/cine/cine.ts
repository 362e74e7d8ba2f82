// The page of one instance: its pictures, a loop, or a video. What a page without scripts can show is in the template.

import { text } from "../frame/text";
import { type Act, listen, listenKeys } from "./input";
import { presets } from "./presets";
import { Broken } from "./rle";
import { header, NotShown, Source, Stack, syntaxOf } from "./source";
import { follow, stackOf } from "./stack";
import { type Parts, type Tool, Viewer } from "./viewer";

const viewer = document.getElementById("viewer");
if (viewer?.dataset["kind"] === "picture") void open(viewer);
if (viewer?.dataset["kind"] === "video") video(viewer);

function one<T extends Element>(selector: string): T {
  const e = document.querySelector<T>(selector);
  if (!e) throw new Error(`the page has no ${selector}`);
  return e;
}

/** What cannot be shown is told in words, with what can be done instead. */
function tell(box: HTMLElement, title: string, why: string): void {
  one<HTMLElement>("#problem-title").textContent = title;
  one<HTMLElement>("#problem-text").textContent = why;
  box.hidden = false;
}

function video(page: HTMLElement): void {
  const v = one<HTMLVideoElement>("video");
  const problem = one<HTMLElement>("#problem");
  const failed = () => tell(problem, text("cine.video.cannot"), text("cine.video.cannot.text", page.dataset["syntaxName"] ?? ""));
  v.addEventListener("error", failed, true);
  if (v.error) failed();
}

const speeds = [0.25, 0.5, 1, 1.5, 2];

async function open(page: HTMLElement): Promise<void> {
  const stage = one<HTMLElement>("#stage");
  const problem = one<HTMLElement>("#problem");
  const root = page.dataset["root"] ?? "";
  let stacked = false;
  const state = (s: string) => {
    page.dataset["state"] = s;
  };
  state("loading");

  const failed = (frame: number, why: unknown): void => {
    if (why === undefined) {
      if (!problem.hidden) problem.hidden = true;
      delete page.dataset["dead"];
      if (page.dataset["state"] !== "ready") state("ready");
      return;
    }
    // What no frame can be drawn of needs no tools.
    if (why instanceof NotShown && why.status === 406 && !stacked) page.dataset["dead"] = "";
    state("problem");
    const name = page.dataset["syntaxName"] || page.dataset["syntax"] || "";
    if (why instanceof NotShown && why.status === 406) tell(problem, text("cine.problem.syntax"), text("cine.problem.syntax.text", name));
    else if (why instanceof NotShown && why.status === 404) tell(problem, text("cine.problem.gone"), text("cine.problem.gone.text"));
    else if (why instanceof NotShown && why.status === 401) tell(problem, text("cine.problem.login"), text("cine.problem.login.text"));
    else if (why instanceof NotShown || why instanceof Broken) {
      tell(problem, text("cine.problem.broken", frame + 1), text("cine.problem.broken.text", why.message));
    } else tell(problem, text("cine.problem.network", frame + 1), text("cine.problem.network.text"));
  };

  let source: Source;
  try {
    const h = await header(root);
    source = new Source(root, h, page.dataset["syntax"] || syntaxOf(h));
  } catch (why) {
    failed(0, why);
    return;
  }

  // A series of single pictures is looked through like a loop.
  const uids = stackOf();
  const at = (uid: string) => root.slice(0, root.lastIndexOf("/") + 1) + uid;
  const place = uids.findIndex((uid) => at(uid) === root);
  stacked = place >= 0 && source.count === 1;

  const corners = new Map([...document.querySelectorAll<HTMLElement>("[data-corner]")].map((e) => [e.dataset["corner"], e]));
  const parts: Parts = {
    stage, canvas: one("#canvas"), layer: one("#marks"), list: one("#measures"), loaded: one("#loaded"),
    corner: (name) => corners.get(name) ?? stage,
  };
  const frames = one<HTMLInputElement>("#frames");
  const speed = one<HTMLSelectElement>("#speed");
  const preset = one<HTMLSelectElement>("#preset");
  const buttons = new Map([...document.querySelectorAll<HTMLButtonElement>("[data-act]")].map((b) => [b.dataset["act"], b]));
  const press = (act: Act, on: boolean) => buttons.get(act)?.setAttribute("aria-pressed", String(on));
  const status = one<HTMLElement>("#status");

  let offered = "";
  const changed = () => {
    if (!v) return;
    const n = String(v.current + 1);
    if (frames.value !== n) frames.value = n;
    frames.setAttribute("aria-valuetext", v.placeWords());
    const play = buttons.get("play");
    const label = text(v.playing ? "cine.pause" : "cine.play");
    if (play && play.title !== label) {
      play.title = label;
      play.setAttribute("aria-label", label);
      play.textContent = v.playing ? "❚❚" : "▶";
    }
    for (const t of ["scroll", "window", "pan", "measure"] as const) press(t, v.tool === t);
    press("loop", v.clock.loop);
    press("invert", v.isInverted);
    press("info", v.info);
    const s = String(v.clock.rate);
    if (speed.value !== s) speed.value = s;
    stage.dataset["tool"] = v.tool;
    // Colours have no window.
    const f = v.frameShown;
    const grey = v.hasWindow;
    for (const act of ["window"] as const) {
      const b = buttons.get(act);
      if (b && f) b.disabled = !grey;
    }
    preset.disabled = !grey;
    if (grey && f?.module) {
      const list = presets(f.module, page.dataset["modality"] ?? "", text);
      const key = list.map((p) => p.key + p.label).join("\n");
      if (key !== offered) {
        offered = key;
        preset.replaceChildren(...list.map((p) => new Option(p.label, p.key)), new Option(text("cine.preset.custom"), ""));
      }
      const now = v.presetKey;
      if (preset.value !== now) preset.value = now;
    }
  };

  const asked = Number(new URLSearchParams(location.search).get("frame") ?? NaN);
  const known = !stacked && Number.isInteger(asked) && asked >= 1 && asked <= source.count;
  let v: Viewer | undefined;
  try {
    v = stacked
      ? new Viewer(new Stack(uids.map(at), place, source), parts, place, false, { changed, problem: failed })
      : new Viewer(source, parts, known ? asked - 1 : 0, true, { changed, problem: failed });
  } catch (why) {
    failed(0, why);
    return;
  }
  const it = v;

  frames.max = String(it.count);
  one<HTMLElement>(".cine-tools").hidden = false;
  for (const e of document.querySelectorAll<HTMLElement>("[data-loops]")) e.hidden = it.count < 2;
  frames.addEventListener("input", () => {
    it.pause();
    it.go(Number(frames.value) - 1);
  });
  speed.addEventListener("change", () => it.setSpeed(Number(speed.value)));
  preset.addEventListener("change", () => it.choose(preset.value || "own"));

  const help = one<HTMLDialogElement>("#help");
  const pace = (by: number) => {
    const i = Math.max(0, Math.min(speeds.length - 1, speeds.indexOf(it.clock.rate) + by));
    it.setSpeed(speeds[i] ?? 1);
  };
  const choose = (tool: Tool) => {
    if (tool === "window" && it.frameShown && !it.hasWindow) {
      status.textContent = text("cine.window.colour");
      return;
    }
    it.tool = tool;
    it.marks.cancel();
    it.marks.cross = undefined;
    it.invalidate();
    changed();
  };
  const acts: Record<Act, () => void> = {
    play: () => (it.playing ? it.pause() : it.play()),
    previous: () => it.step(-1),
    next: () => it.step(1),
    first: () => {
      it.pause();
      it.go(0);
    },
    last: () => {
      it.pause();
      it.go(it.count - 1);
    },
    loop: () => it.setLoop(!it.clock.loop),
    slower: () => pace(-1),
    faster: () => pace(1),
    scroll: () => choose("scroll"), window: () => choose("window"), pan: () => choose("pan"), measure: () => choose("measure"),
    in: () => it.zoom(1.25), out: () => it.zoom(0.8), fit: () => it.fit(), one: () => it.oneToOne(),
    rotate: () => it.rotate(1), unrotate: () => it.rotate(-1), flipx: () => it.flip("x"), flipy: () => it.flip("y"),
    invert: () => it.toggleInvert(), reset: () => it.reset(),
    undo: () => it.marks.removeLast(),
    info: () => {
      it.info = !it.info;
      it.invalidate();
      changed();
    },
    full: () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else void page.requestFullscreen?.().catch(() => undefined);
    },
    help: () => help.showModal(),
    before: () => beside(-1),
    after: () => beside(1),
  };
  const beside = (by: number) => {
    if (!stacked) document.querySelector<HTMLAnchorElement>(by < 0 ? "#before[href]" : "#after[href]")?.click();
    else if (it.current + by >= 0 && it.current + by < it.count) it.step(by);
  };
  const act = (a: Act) => acts[a]();
  for (const [name, b] of buttons) b.addEventListener("click", () => act(name as Act));
  one<HTMLButtonElement>("#help-close").addEventListener("click", () => help.close());
  listen(stage, it);
  listenKeys(stage, it, act);
  changed();
  if (stacked) follow(page, it, uids);

  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!stacked && it.rate.told && it.count > 1 && !known && !still) it.play();
  addEventListener("pagehide", (e) => {
    if (!e.persisted) it.dispose();
  });
}
