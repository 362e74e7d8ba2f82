// How many CSS pixels a millimetre of this screen has. Only a person with a ruler knows.

import { text } from "../frame/text";
import { CARD_MM, fromKept, NOMINAL, toKeep } from "./scale";

const KEY = "tributary-ecg-device-pixels-per-mm";

function kept(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is off
  }
}

/** CSS pixels a millimetre, and whether a person told. */
export function screenScale(): { px: number; calibrated: boolean } {
  const px = fromKept(kept(), window.devicePixelRatio);
  return { px: px ?? NOMINAL, calibrated: px !== null };
}

/** The control: a bar as wide as a card. changed is called when the scale is another. */
export function calibration(changed: () => void): void {
  const card = document.getElementById("ecg-card")!;
  const width = document.getElementById("ecg-card-width") as HTMLInputElement;
  const words = document.getElementById("ecg-screen")!;
  const show = () => {
    const { px, calibrated } = screenScale();
    width.value = String(px * CARD_MM);
    card.style.width = width.value + "px";
    words.textContent = calibrated ? text("ecg.js.calibrated", px.toFixed(2)) : text("ecg.js.uncalibrated");
  };
  width.addEventListener("input", () => (card.style.width = width.value + "px"));
  const store = (value: string | null) => {
    try {
      if (value === null) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, value);
    } catch {
      return; // storage is off
    } finally {
      show();
      changed();
    }
  };
  document.getElementById("ecg-card-keep")!.addEventListener("click", () => store(toKeep(Number(width.value), window.devicePixelRatio)));
  document.getElementById("ecg-card-forget")!.addEventListener("click", () => store(null));
  show();
}
