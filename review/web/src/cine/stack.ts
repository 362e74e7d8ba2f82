// A series of single pictures: the page follows to the instance that is looked at.

import type { Viewer } from "./viewer";

/** The SOP Instance UIDs of the series, in order; none when it is no series of single pictures. */
export function stackOf(): string[] {
  const list: unknown = JSON.parse(document.getElementById("stack")?.textContent || "[]");
  return Array.isArray(list) ? list.filter((uid): uid is string => typeof uid === "string") : [];
}

/** How long a picture is looked at before the page follows, ms. */
const rest = 250;

/**
 * Keeps address, facts, states and links those of the picture that is looked at. What is said of an instance is made by
 * the node: its page is fetched, and its head put in place of the one that is there.
 */
export function follow(page: HTMLElement, v: Viewer, uids: readonly string[]): void {
  let there = v.current;
  let timer = 0;
  let asked: AbortController | undefined;
  const path = (uid: string) => location.pathname.slice(0, location.pathname.lastIndexOf("/") + 1) + uid;

  const arrive = async (): Promise<void> => {
    const uid = uids[v.current];
    if (v.current === there || uid === undefined) return;
    const to = v.current;
    asked?.abort();
    asked = new AbortController();
    const answer = await fetch(path(uid) + location.search, { headers: { Accept: "text/html" }, signal: asked.signal });
    if (!answer.ok) throw new Error("the page did not come");
    const other = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (v.current !== to) return;
    const data = other.getElementById("viewer")?.dataset ?? {};
    for (const key of ["root", "syntax", "syntaxName", "modality"]) page.dataset[key] = data[key] ?? "";
    for (const part of [".cine-head", ".language", ".cine-tools a[download]", "#problem a[download]"]) {
      const from = other.querySelector(part);
      const here = document.querySelector(part);
      if (from && here) here.replaceWith(document.importNode(from, true));
    }
    there = to;
    history.replaceState(null, "", path(uid) + location.search);
  };
  const move = () => {
    const away = v.current !== there;
    page.classList.toggle("cine-moving", away);
    clearTimeout(timer);
    if (!away) return;
    timer = window.setTimeout(() => {
      if (v.playing) move();
      else arrive().then(() => page.classList.toggle("cine-moving", v.current !== there), () => undefined);
    }, rest);
  };
  v.onMove = move;
}
