// How many studies came since the list was made. It counts, and says nothing of whose they are.

import { follow } from "./events";
import { text } from "./text";

const most = 99; // "99+": beyond that nobody counts

const hint = document.getElementById("live");
const link = hint?.querySelector("a");

if (hint && link) {
  const listed = new Set([...document.querySelectorAll<HTMLElement>("tr[data-study]")].map((row) => row.dataset.study));
  const fresh = new Set<string>();
  const urgent = new Set<string>();
  const count = (n: number): string => (n > most ? `${most}+` : String(n));
  const stop = follow((event) => {
    const study = event.ids?.study_instance_uid;
    if (!study || !event.type.startsWith("org.tributary.instance.stored.")) return;
    if (event.priority === "STAT") urgent.add(study);
    else if (listed.has(study)) return;
    fresh.add(study);
    let said = text("js.live", count(fresh.size));
    if (urgent.size) said += text("js.live.stat", count(urgent.size));
    link.textContent = `${said} — ${text("js.live.do")}`;
    hint.classList.toggle("bad", urgent.size > 0);
    hint.hidden = false;
    if (fresh.size > most) stop();
  });
}
