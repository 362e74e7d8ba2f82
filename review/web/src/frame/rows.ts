// The list of studies by keyboard and mouse: arrows go from row to row, Enter opens (the link does), a click anywhere in a
// row is one on its link.

import { typing } from "./keys";

const list = document.querySelector<HTMLTableElement>("table.studies");

if (list) {
  const links = (): HTMLAnchorElement[] => [...list.querySelectorAll<HTMLAnchorElement>("a.name")];

  document.addEventListener("keydown", (event) => {
    const down = event.key === "ArrowDown";
    if ((!down && event.key !== "ArrowUp") || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const search = event.target instanceof HTMLInputElement && event.target.type === "search";
    if (typing(event) && !(search && down)) return;
    const all = links();
    const at = all.findIndex((a) => a.closest("tr")?.contains(document.activeElement));
    if (at < 0 && !search && document.activeElement !== document.body && document.activeElement?.id !== "main") return;
    const next = at < 0 ? (down ? 0 : -1) : at + (down ? 1 : -1);
    if (at === 0 && !down) document.querySelector<HTMLElement>("input[type=search]")?.focus();
    else if (all[next]) all[next].focus();
    else return;
    event.preventDefault();
  });

  list.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.target.closest("a, button")) return;
    if (String(getSelection() ?? "") !== "") return; // somebody copies an ID
    const link = event.target.closest("tr")?.querySelector<HTMLAnchorElement>("a.name");
    if (!link) return;
    if (event.ctrlKey || event.metaKey) window.open(link.href, "_blank", "noopener");
    else link.click();
  });
}
