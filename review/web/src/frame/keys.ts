// "/" goes to the search box, on every page that has one.

/** Whether a key press is text for a control, not a command. */
export function typing(event: KeyboardEvent): boolean {
  const at = event.target;
  return (
    at instanceof HTMLElement &&
    (at.isContentEditable || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement ||
      (at instanceof HTMLInputElement && !["button", "checkbox", "radio", "range", "submit"].includes(at.type)))
  );
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event)) return;
  const box = document.querySelector<HTMLInputElement>("input[type=search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});
