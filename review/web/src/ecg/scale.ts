// Millimetres: of paper, of the screen.

/** CSS pixels of a millimetre where nobody calibrated: CSS says that an inch has 96. */
export const NOMINAL = 96 / 25.4;

/** A bank card's width, mm (ISO/IEC 7810, ID-1). */
export const CARD_MM = 85.6;

export const SPEEDS = [12.5, 25, 50, 100] as const; // mm/s
export const GAINS = [2.5, 5, 10, 20, 40] as const; // mm/mV

/** Screens have between 1.5 and 25 CSS pixels a millimetre; what is outside was no calibration. */
export function plausible(pxPerMM: number): boolean {
  return pxPerMM >= 1.5 && pxPerMM <= 25;
}

/**
 * CSS pixels of a millimetre by what was kept of a calibration: device pixels of a millimetre, which zooming does not
 * change. Null when nothing that can be used was kept.
 */
export function fromKept(kept: string | null, devicePixelRatio: number): number | null {
  const device = Number(kept);
  if (!kept || !Number.isFinite(device) || !(devicePixelRatio > 0)) return null;
  const css = device / devicePixelRatio;
  return plausible(css) ? css : null;
}

/** What is kept of a calibration: the bar's width in CSS pixels stands for a card. */
export function toKeep(barPx: number, devicePixelRatio: number): string {
  return String((barPx / CARD_MM) * devicePixelRatio);
}

/** mm along the paper of a time after the beginning of a trace, s. */
export function along(seconds: number, speed: number): number {
  return seconds * speed;
}

/** mm above the baseline of a voltage, mV. */
export function above(millivolt: number, gain: number): number {
  return millivolt * gain;
}

/** A number without zeros at its end. */
export function decimal(value: number, places: number): string {
  return String(Number(value.toFixed(places)));
}

/** A time within a recording: "2.35 s", or "3:07:09.5" for one of ten minutes or more. */
export function clock(seconds: number, total: number): string {
  if (total < 600) return decimal(seconds, 2) + " s";
  const sign = seconds < 0 ? "-" : "";
  const tenths = Math.round(Math.abs(seconds) * 10);
  const two = (n: number) => String(n).padStart(2, "0");
  const whole = Math.floor(tenths / 10);
  const tenth = tenths % 10 ? "." + (tenths % 10) : "";
  return sign + Math.floor(whole / 3600) + ":" + two(Math.floor(whole / 60) % 60) + ":" + two(whole % 60) + tenth;
}

/** Seconds of "3:07:09.5", "7:09" or "9.5"; null for what is no time. */
export function seconds(text: string): number | null {
  const parts = text.trim().replaceAll("：", ":").split(":");
  if (parts.length > 3 || parts.some((p) => !/^\d{1,7}([.]\d{1,6})?$/.test(p.trim()))) return null;
  return parts.reduce((sum, p) => sum * 60 + Number(p), 0);
}
