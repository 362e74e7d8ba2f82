// A long recording from end to end, to find one's way in.

import { exact, type Overview, readOverview, type Recording } from "./recording";
import type { Store } from "./store";
import { rhythmLeads, type View } from "./tracks";

/** Shorter recordings need no overview, s. */
const LONG = 60;

const HIGH = 48; // CSS pixels

let shown = new AbortController(); // ends the overview that was drawn last

/** Draws the overview of a view's rhythm lead, and follows what is shown. goTo is called with the time that is clicked. */
export async function drawOverview(canvas: HTMLCanvasElement, rec: Recording, store: Store, view: View, goTo: (t: number) => void): Promise<void> {
  const ts = view.tracks;
  const total = ts.to - ts.from;
  shown.abort(); // it is of another view
  const { signal } = (shown = new AbortController());
  canvas.hidden = true;
  const name = rhythmLeads(ts, [], 1)[0];
  const source = name === undefined ? undefined : ts.byName.get(name)?.sources.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
  if (!source || total < LONG) return;
  let all: Overview;
  try {
    all = readOverview(await store.fetch(`/overview?group=${source.group}&lead=${source.lead}`));
  } catch {
    return; // the slider is there all the same
  }
  if (signal.aborted) return; // yet another view was chosen
  const scale = exact(rec.groups[source.group]!.leads[source.lead]!.scale);
  let stretch = { from: 0, to: 0 };
  const paint = () => {
    const width = canvas.clientWidth;
    const ratio = Math.max(1, window.devicePixelRatio);
    if (width === 0) return;
    canvas.width = width * ratio;
    canvas.height = HIGH * ratio;
    const g = canvas.getContext("2d")!;
    g.scale(ratio, ratio);
    g.fillStyle = "#fff";
    g.fillRect(0, 0, width, HIGH);
    const x = (sample: number) => ((source.at + sample / source.rate - ts.from) / total) * width;
    const heights = middleHeights(all, scale);
    g.fillStyle = "#3f4a55";
    for (let i = 0; i < heights.length; i++) {
      const [low, high] = heights[i]!;
      if (low > high) continue; // a gap
      const left = x(i * all.each);
      g.fillRect(left, HIGH / 2 - high * (HIGH / 2 - 2), Math.max(1, x((i + 1) * all.each) - left), Math.max(1, (high - low) * (HIGH / 2 - 2)));
    }
    g.fillStyle = "rgb(10 88 166 / 0.25)";
    g.fillRect(stretch.from * width - 1, 0, Math.max(3, (stretch.to - stretch.from) * width), HIGH);
  };
  canvas.addEventListener("stretch", (e) => {
    stretch = (e as CustomEvent<typeof stretch>).detail;
    canvas.hidden = false;
    paint();
  }, { signal });
  canvas.onclick = (e) => goTo((e.offsetX / canvas.clientWidth) * total);
  window.addEventListener("resize", paint, { signal });
  canvas.hidden = false;
  paint();
}

/** Pieces as −1 … 1 around the recording's middle; a fiftieth of them that is louder than the rest is cut. */
export function middleHeights(o: Overview, scale: number): [number, number][] {
  const pieces: [number, number][] = [];
  for (let i = 0; i < o.pieces.length; i += 2) {
    const a = o.pieces[i]! * scale;
    const b = o.pieces[i + 1]! * scale;
    pieces.push(o.pieces[i]! > o.pieces[i + 1]! ? [1, 0] : [Math.min(a, b), Math.max(a, b)]);
  }
  const there = pieces.filter(([low, high]) => low <= high);
  if (there.length === 0) return pieces;
  const middle = there.map(([low, high]) => (low + high) / 2).sort((a, b) => a - b)[there.length >> 1]!;
  const reach = there.map(([low, high]) => Math.max(high - middle, middle - low)).sort((a, b) => a - b);
  const most = reach[Math.floor((reach.length - 1) * 0.98)] || 1;
  const fit = (v: number) => Math.max(-1, Math.min(1, (v - middle) / most));
  return pieces.map(([low, high]) => (low > high ? [1, 0] : [fit(low), fit(high)]));
}
