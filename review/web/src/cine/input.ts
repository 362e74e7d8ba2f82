// Mouse, touch and keys on the stage.

import { typing } from "../frame/keys";
import type { Point } from "./calibrate";
import type { Tool, Viewer } from "./viewer";

/** Pixels that a finger or the mouse moves for one frame. */
const perFrame = 8;

/** Wheel turning that is one frame, pixels; one notch of a mouse wheel is more. */
const notch = 30;

/** Listens on the stage. */
export function listen(stage: HTMLElement, v: Viewer): void {
  const hands = new Map<number, Point>();
  let drag: { tool: Tool; from: Point; last: Point; frame: number; window: ReturnType<Viewer["windowNow"]>; moved: boolean } | undefined;
  let pinch: { distance: number; middle: Point } | undefined;
  let turned = 0;

  const at = (e: MouseEvent): Point => {
    const box = stage.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
  };
  const spread = () => {
    const [a, b] = [...hands.values()] as [Point, Point];
    return { distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)), middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } };
  };

  stage.addEventListener("contextmenu", (e) => e.preventDefault());

  stage.addEventListener("pointerdown", (e) => {
    if (e.target instanceof Element && e.target.closest("button, a")) return;
    stage.setPointerCapture(e.pointerId);
    const p = at(e);
    hands.set(e.pointerId, p);
    if (hands.size === 2) {
      drag = undefined;
      v.marks.cancel();
      pinch = spread();
      return;
    }
    if (hands.size > 2) return;
    const tool = e.button === 2 ? "window" : e.button === 1 ? "pan" : v.tool;
    if (e.button === 1) e.preventDefault();
    drag = { tool, from: p, last: p, frame: v.current, window: v.windowNow(), moved: false };
    v.marks.cross = undefined;
    if (tool === "measure" && !v.marks.placing) {
      const place = v.place(p);
      v.pause();
      if (place) v.marks.begin(v.current, place);
    } else if (tool === "measure") {
      drag.moved = true; // the second click of two
    }
  });

  stage.addEventListener("pointermove", (e) => {
    const p = at(e);
    if (hands.has(e.pointerId)) hands.set(e.pointerId, p);
    if (pinch && hands.size === 2) {
      const now = spread();
      v.zoom(now.distance / pinch.distance, now.middle);
      v.pan(now.middle.x - pinch.middle.x, now.middle.y - pinch.middle.y);
      pinch = now;
      return;
    }
    if (v.marks.placing) {
      const place = v.place(p);
      if (place) v.marks.move(place);
    }
    if (!drag || !hands.has(e.pointerId)) return;
    const dx = p.x - drag.from.x;
    const dy = p.y - drag.from.y;
    if (Math.hypot(dx, dy) > 3) drag.moved = true;
    if (!drag.moved) return;
    switch (drag.tool) {
      case "scroll":
        if (v.playing) v.pause();
        v.go(Math.max(0, Math.min(v.count - 1, drag.frame + Math.trunc((Math.abs(dy) > Math.abs(dx) ? dy : dx) / perFrame))));
        break;
      case "pan":
        v.pan(p.x - drag.last.x, p.y - drag.last.y);
        break;
      case "window":
        if (drag.window) {
          const step = Math.max(drag.window.width, 1) / 250;
          const width = drag.window.width + dx * step;
          v.setWindow({ center: drag.window.center + dy * step, width: Math.max(width, step), fn: drag.window.fn });
        }
        break;
    }
    drag.last = p;
  });

  const up = (e: PointerEvent) => {
    if (!hands.delete(e.pointerId)) return;
    if (pinch) {
      if (hands.size < 2) pinch = undefined;
      return;
    }
    if (drag?.tool === "measure" && drag.moved) {
      const place = v.place(at(e));
      if (e.type === "pointercancel" || !place) v.marks.cancel();
      else v.marks.end(place);
    }
    drag = undefined;
  };
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);

  stage.addEventListener("wheel", (e) => {
    e.preventDefault();
    const scale = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 40 : e.deltaMode === WheelEvent.DOM_DELTA_PAGE ? 400 : 1;
    if (e.ctrlKey || e.metaKey) {
      v.zoom(Math.exp((-e.deltaY * scale) / 400), at(e));
      return;
    }
    if (v.count < 2) return;
    // A notch is one frame, whatever it says; a touchpad's small movements add up to one.
    turned = Math.abs(e.deltaY * scale) >= 100 ? Math.sign(e.deltaY) * notch : turned + e.deltaY * scale;
    const frames = Math.trunc(turned / notch);
    if (frames) {
      turned -= frames * notch;
      v.step(frames);
    }
  }, { passive: false });

  stage.addEventListener("dblclick", () => {
    if (v.tool !== "measure") v.fit();
  });
}

/** What the buttons do; keys do the same. */
export type Act =
  | "play" | "previous" | "next" | "first" | "last" | "loop" | "slower" | "faster"
  | "scroll" | "window" | "pan" | "measure"
  | "in" | "out" | "fit" | "one" | "rotate" | "unrotate" | "flipx" | "flipy" | "invert" | "reset"
  | "undo" | "info" | "full" | "help" | "before" | "after";

/** Keys, as KeyboardEvent.key has them, letters in lower case. */
const keys: Readonly<Record<string, Act>> = {
  " ": "play", k: "play", ",": "previous", ".": "next", Home: "first", End: "last", l: "loop", "[": "slower", "]": "faster",
  s: "scroll", w: "window", p: "pan", m: "measure",
  "+": "in", "=": "in", "-": "out", "0": "fit", "1": "one", r: "rotate", R: "unrotate", h: "flipx", v: "flipy", i: "invert", x: "reset",
  Delete: "undo", Backspace: "undo", o: "info", f: "full", "?": "help", PageUp: "before", PageDown: "after",
};

/** Listens to keys. Arrows do what the chosen tool does by hand. */
export function listenKeys(stage: HTMLElement, v: Viewer, act: (a: Act) => void): void {
  document.addEventListener("keydown", (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || typing(e) || document.querySelector("dialog[open]")) return;
    const on = e.target instanceof HTMLElement ? e.target : stage;
    // Buttons and links have their own Enter and space, sliders their own arrows.
    if ((e.key === " " || e.key === "Enter") && on.closest("button, a")) return;
    if (on instanceof HTMLInputElement && /^(Arrow|Home|End|Page)/.test(e.key)) return;
    if (e.key.startsWith("Arrow") || e.key === "Enter" || e.key === "Escape") {
      if (arrow(v, e)) e.preventDefault();
      return;
    }
    const a = keys[e.key] ?? keys[e.key.toLowerCase()];
    if (!a) return;
    e.preventDefault();
    act(a);
  });
}

function arrow(v: Viewer, e: KeyboardEvent): boolean {
  const dx = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
  const dy = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
  const far = e.shiftKey ? 10 : 1;
  switch (v.tool) {
    case "measure": {
      if (e.key === "Escape") return v.marks.cancel();
      const cross = v.marks.cross ?? v.middle();
      if (!cross) return false;
      if (e.key === "Enter") {
        v.pause();
        if (v.marks.placing) v.marks.end(cross);
        else v.marks.begin(v.current, cross);
      }
      // Along the stage, whichever way the picture is turned; one pixel of the picture at least.
      const from = v.onStage(cross);
      const step = Math.max(1, v.view.zoom || v.fitZoom()) * far;
      const to = from && v.place({ x: from.x + dx * step, y: from.y + dy * step });
      if (to) {
        v.marks.cross = to;
        v.marks.move(to);
        v.invalidate();
      }
      return true;
    }
    case "window": {
      const w = v.windowNow();
      if (!w || !(dx || dy)) return false;
      const step = (Math.max(w.width, 1) / 50) * far;
      v.setWindow({ center: w.center + dy * step, width: Math.max(w.width + dx * step, step / 4), fn: w.fn });
      return true;
    }
    case "pan":
      if (!(dx || dy)) return false;
      v.pan(dx * 20 * far, dy * 20 * far);
      return true;
    case "scroll":
      if (!(dx || dy)) return false;
      v.step((dx || dy) * far);
      return true;
  }
}
