// Attributes of DICOM JSON (PS3.18 §F.2.2), by tag as eight hexadecimal digits.

export interface Element {
  readonly vr?: string;
  readonly Value?: readonly unknown[];
  readonly InlineBinary?: string;
  readonly BulkDataURI?: string;
}

export type Elements = Readonly<Record<string, Element | undefined>>;

/** Gives the bytes of a value that is not written out, little endian. */
export type BytesOf = (e: Element) => Promise<Uint8Array>;

/** Value i of an attribute, which may be written as a JSON number or string; undefined for none. */
export function number(d: Elements | undefined, tag: string, i = 0): number | undefined {
  const v = d?.[tag]?.Value?.[i];
  if (typeof v !== "number" && (typeof v !== "string" || v.trim() === "")) return undefined;
  const n = Number(v);
  return Number.isFinite(n) ? n : undefined;
}

/** The first value of an attribute as a whole number, or otherwise. */
export function integer(d: Elements | undefined, tag: string, otherwise: number): number {
  const n = number(d, tag);
  return n !== undefined && Number.isInteger(n) && Math.abs(n) <= 2 ** 40 ? n : otherwise;
}

/** Value i of an attribute of text, without spaces around it. */
export function text(d: Elements | undefined, tag: string, i = 0): string {
  const v = d?.[tag]?.Value?.[i];
  return typeof v === "string" ? v.trim() : typeof v === "number" ? String(v) : "";
}

/** All values of an attribute of text. */
export function texts(d: Elements | undefined, tag: string): string[] {
  return (d?.[tag]?.Value ?? []).map((_, i) => text(d, tag, i));
}

/** Items of a sequence. */
export function items(d: Elements | undefined, tag: string): Elements[] {
  return (d?.[tag]?.Value ?? []).filter((v): v is Elements => typeof v === "object" && v !== null);
}

/** Item i of a sequence. */
export function item(d: Elements | undefined, tag: string, i: number): Elements | undefined {
  const v = d?.[tag]?.Value?.[i];
  return typeof v === "object" && v !== null ? (v as Elements) : undefined;
}

/** The first level that has anything. */
export function first(...levels: (Elements | undefined)[]): Elements | undefined {
  return levels.find((l) => l && Object.keys(l).length > 0);
}

/** Bytes of InlineBinary. */
export function inline(base64: string): Uint8Array {
  const s = atob(base64);
  const out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  return out;
}
