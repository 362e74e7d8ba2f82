// Texts of scripts, in the page's language: those that the page put into its data block "text".

const texts: Readonly<Record<string, string>> = JSON.parse(document.getElementById("text")?.textContent || "{}");

/** The language of the page. */
export const lang: "zh-CN" | "en" = document.documentElement.lang === "en" ? "en" : "zh-CN";

/**
 * The phrase of a key, its verbs (%d, %s, %v, or any other of one letter) filled with args in order. Of two forms divided
 * by "|" the first is for 1. A key that the page does not have is returned as it is.
 */
export function text(key: string, ...args: (string | number)[]): string {
  let phrase = texts[key];
  if (phrase === undefined) return key;
  const forms = phrase.split("|");
  if (lang === "en" && forms.length === 2) phrase = (String(args[0]) === "1" ? forms[0] : forms[1]) ?? "";
  let i = 0;
  return phrase.replace(/%[a-z%]/g, (verb) => (verb === "%%" ? "%" : String(args[i++] ?? "")));
}
