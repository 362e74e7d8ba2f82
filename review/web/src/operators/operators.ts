// What the operators' pages do beside what the server made: uploads, and times as the reader's clock has them.
import { Uploads, takenElsewhere } from "./upload";

const two = (n: number) => String(n).padStart(2, "0");

for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-local]")) {
  const t = new Date(time.dateTime);
  if (Number.isNaN(t.getTime())) continue;
  time.textContent = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

const form = document.getElementById("upload");
if (form && !("elsewhere" in form.dataset)) {
  new Uploads().start();
} else if (form) {
  void takenElsewhere().then((taken) => {
    if (!taken) return;
    document.getElementById("elsewhere")!.hidden = true;
    new Uploads().start();
  });
}
