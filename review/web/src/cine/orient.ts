// Letters at the edges of a picture: which side of the patient it shows there (PS3.3 §C.7.6.1.1.1, §C.7.6.2).

import { type Elements, item, number, texts } from "./elements";
import { groups } from "./module";
import type { Matrix } from "./view";

export interface Edges {
  readonly left: string;
  readonly right: string;
  readonly top: string;
  readonly bottom: string;
}

const opposite: Readonly<Record<string, string>> = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

export function turnedRound(letters: string): string {
  return [...letters].map((c) => opposite[c] ?? c).join("");
}

/** Where rows point to the right and columns point down, in letters; undefined where nothing is said. */
export function directions(header: Elements, frame: number): [string, string] | undefined {
  const [own, shared] = groups(header, frame);
  for (const level of [item(own, "00209116", 0), item(shared, "00209116", 0), header]) {
    const v = [0, 1, 2, 3, 4, 5].map((i) => number(level, "00200037", i));
    if (v.every((n) => n !== undefined)) {
      const [a, b, c, d, e, f] = v as [number, number, number, number, number, number];
      return [letters(a, b, c), letters(d, e, f)];
    }
  }
  const words = texts(header, "00200020").map((s) => s.toUpperCase().slice(0, 3));
  return words.length === 2 && words.every((w) => /^[LRAPHF]+$/.test(w)) ? (words as [string, string]) : undefined;
}

/** A direction in letters, the nearest axis first; axes that it hardly follows are left out. */
function letters(x: number, y: number, z: number): string {
  const axes: [number, string][] = [[x, x > 0 ? "L" : "R"], [y, y > 0 ? "P" : "A"], [z, z > 0 ? "H" : "F"]];
  return axes.filter(([n]) => Math.abs(n) > 0.2).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).map(([, c]) => c).join("").slice(0, 2);
}

/** The letters at the edges of the stage when the picture lies there by m. */
export function edges(to: [string, string], m: Matrix): Edges {
  const [row, column] = to;
  const across = Math.abs(m[0]) >= Math.abs(m[2]);
  const right = across ? (m[0] > 0 ? row : turnedRound(row)) : m[2] > 0 ? column : turnedRound(column);
  const bottom = across ? (m[3] > 0 ? column : turnedRound(column)) : m[1] > 0 ? row : turnedRound(row);
  return { right, left: turnedRound(right), bottom, top: turnedRound(bottom) };
}
