// From what people choose or drop to the files that are sent: folders are walked, archives opened, and files that make
// one recording put together.
import { BadZip, openZip } from "./zip";

/** A file with the folder that it lay in. */
export interface Item {
  path: string;
  size: number;
  open(): Promise<Blob>;
}

/** What goes in one request. */
export interface Parcel {
  name: string;
  items: Item[];
  /** An archive that the node may take as one recording. When it does not, its members go one by one. */
  archive?: Item[];
}

export interface Chosen {
  parcels: Parcel[];
  /** Archives that cannot be opened, by name. */
  bad: string[];
  /** Archives with nothing in them to send. */
  empty: string[];
  /** Members of archives. */
  unpacked: number;
  /** Files that are none of ours. */
  passed: number;
}

/** How deep folders are walked, and how many files one choice may bring. */
const mostDepth = 16;
export const mostFiles = 5000;

export const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

export function itemOf(file: File): Item {
  return { path: file.webkitRelativePath || file.name, size: file.size, open: async () => file };
}

/** Files of viewers and systems that lie on CDs beside pictures. What is chosen by its name is sent all the same. */
const foreign = /(^|\/)(__MACOSX\/.*|\.[^/]*|thumbs\.db|desktop\.ini|autorun\.inf|dicomdir|[^/]*\.(exe|dll|msi|bat|cmd|com|sys|ocx|jar|class|lnk|ico|ini|inf|chm|hlp|htm|html|css|js|gif|bmp|ttf|so|dylib|app|cab))$/i;

/** The files of a drop, folders walked. The entries must be asked for before the event ends. */
export async function dropped(data: DataTransfer): Promise<Item[]> {
  const entries = [...data.items].filter((i) => i.kind === "file").map((i) => i.webkitGetAsEntry());
  const files = [...data.files];
  if (entries.every((e) => !e || e.isFile)) return files.map(itemOf);
  const items: Item[] = [];
  const walk = async (entry: FileSystemEntry, depth: number): Promise<void> => {
    if (items.length > mostFiles || depth > mostDepth) return;
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)).catch(() => null);
      if (file) items.push({ path: entry.fullPath.replace(/^\//, ""), size: file.size, open: async () => file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
      if (some.length === 0) return;
      for (const e of some) await walk(e, depth + 1);
    }
  };
  for (const e of entries) if (e) await walk(e, 0);
  return items;
}

/** Makes parcels of what was chosen. */
export async function parcels(items: Item[]): Promise<Chosen> {
  const out: Chosen = { parcels: [], bad: [], empty: [], unpacked: 0, passed: 0 };
  const loose: Item[] = [];
  for (const item of items) {
    if (item.path.includes("/") && foreign.test(item.path)) {
      out.passed++;
    } else if (/\.zip$/i.test(item.path)) {
      await archive(item, loose, out);
    } else {
      loose.push(item);
    }
  }
  out.parcels.push(...(await together(loose)));
  return out;
}

async function archive(item: Item, loose: Item[], out: Chosen): Promise<void> {
  let members: Item[];
  try {
    members = await openZip(await item.open());
  } catch (e) {
    if (!(e instanceof BadZip)) throw e;
    out.bad.push(baseName(item.path));
    return;
  }
  const ours = members.filter((m) => !foreign.test(m.path));
  out.passed += members.length - ours.length;
  if (ours.length === 0) {
    out.empty.push(baseName(item.path));
    return;
  }
  const stem = item.path.replace(/\.zip$/i, "");
  const inside = ours.map((m) => ({ ...m, path: `${stem}/${m.path}` }));
  if (ours.length === 1 || ours.some((m) => /\.hea$/i.test(m.path))) {
    out.parcels.push({ name: baseName(item.path), items: [item], archive: inside });
    return;
  }
  out.unpacked += ours.length;
  loose.push(...inside);
}

/** Bytes of files that go as one form, and of a header that is read. */
const mostTogether = 512 << 20;
const mostHeader = 64 << 10;

/** Puts WFDB headers and the files that they name into one parcel each; all else goes by itself. */
export async function together(items: Item[]): Promise<Parcel[]> {
  const taken = new Set<Item>();
  const out: Parcel[] = [];
  const folder = (i: Item) => i.path.slice(0, i.path.lastIndexOf("/") + 1);
  for (const header of items) {
    if (!/\.hea$/i.test(header.path) || header.size > mostHeader) continue;
    const text = await header.open().then((b) => b.text()).catch(() => "");
    const lines = text.split(/\r?\n/).filter((l) => l.trim() && !l.startsWith("#"));
    if (/^\S+\/\d/.test(lines[0] ?? "")) continue; // of several segments, which have headers of their own
    const names = new Set(lines.slice(1).map((l) => l.split(/\s/)[0]));
    const stem = baseName(header.path).slice(0, -4);
    const parts = items.filter((i) => i !== header && !taken.has(i) && folder(i) === folder(header) && !/\.(hea|zip)$/i.test(i.path) &&
      (names.has(baseName(i.path)) || baseName(i.path).replace(/\.[^.]*$/, "") === stem));
    if (parts.length === 0 || parts.reduce((n, i) => n + i.size, header.size) > mostTogether) continue;
    for (const i of [header, ...parts]) taken.add(i);
    out.push({ name: baseName(header.path), items: [header, ...parts] });
  }
  for (const i of items) if (!taken.has(i)) out.push({ name: baseName(i.path), items: [i] });
  return out;
}
