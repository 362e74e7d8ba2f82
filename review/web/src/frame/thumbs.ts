// A small picture that the node cannot make (406, and the tile names the transfer syntax), or that does not come, gives
// its place to words.

function replace(image: HTMLImageElement): void {
  const words = image.nextElementSibling;
  if (!(words instanceof HTMLElement) || !words.classList.contains("instead")) return;
  image.hidden = true;
  words.hidden = false;
}

for (const image of document.querySelectorAll<HTMLImageElement>(".thumb img")) {
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) replace(image);
  else image.addEventListener("error", () => replace(image), { once: true });
}
