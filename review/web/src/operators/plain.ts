// Small files go in one request each, to POST /upload; files that belong together as one form.
import { Failure, type Receipt, failure, headerText, readable, receipts, request } from "./request";

export interface Origin {
  device: string;
  facility: string;
}

/** Sends files and returns what became of them: of several, which make one object, the least fortunate receipt. */
export async function sendPlain(
  files: { name: string; body: Blob }[], origin: Origin, signal: AbortSignal, sent: (bytes: number) => void,
): Promise<Receipt> {
  for (const f of files) await readable(f.body);
  const headers: Record<string, string> = { "X-Device": headerText(origin.device), "X-Facility": headerText(origin.facility) };
  let body: Blob | FormData;
  const only = files.length === 1 ? files[0] : undefined;
  if (only) {
    body = only.body;
    headers["Content-Type"] = "application/octet-stream";
    headers["X-Filename"] = encodeURIComponent(only.name);
  } else {
    body = new FormData();
    for (const f of files) body.append("file", f.body, f.name);
  }
  const answer = await request("POST", "/upload", headers, body, signal, sent);
  const list = receipts(answer.body);
  if (!list) throw failure(answer);
  const worst = list.find((r) => r.status === "refused") ?? list.find((r) => r.status === "quarantined") ?? list[0]!;
  if (worst.status === "refused" && worst.retry && answer.status !== 413) {
    throw new Failure("busy", answer.status, Number(answer.header("Retry-After")) || 0);
  }
  return worst;
}
