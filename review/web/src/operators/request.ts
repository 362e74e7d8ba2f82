// One HTTP request with progress of what is sent, which fetch does not tell.

/** What the node says became of a file: a receipt, or a refusal in the same shape. */
export interface Receipt {
  id: string;
  status: string;
  reason?: string;
  study?: string;
  bytes?: number;
  /** Of a refusal: the same file may be taken later. */
  retry?: boolean;
}

/**
 * Why a file did not come through. "line": no answer; "busy": the node cannot now; "denied": it asks who comes;
 * "unreadable": the browser cannot read the file; "stopped": a person did; "odd": an answer that nobody expected.
 */
export class Failure extends Error {
  constructor(
    readonly kind: "line" | "busy" | "denied" | "unreadable" | "stopped" | "odd",
    readonly status = 0,
    /** Seconds that the node asks for. */
    readonly after = 0,
  ) {
    super(kind);
  }

  /** Whether trying again may help. */
  get passing(): boolean {
    return this.kind === "line" || this.kind === "busy";
  }
}

export interface Answer {
  status: number;
  body: string;
  header(name: string): string;
}

/** A body whose bytes do not move for so long is given up, milliseconds: lines that drop often say nothing. */
const stallAfter = 60_000;

/** How long the node may take to keep a file once all of it is there, milliseconds. */
const answerWithin = 600_000;

/** Sends a request. It rejects with a Failure when there is no answer, or signal aborts. */
export function request(
  method: string, url: string, headers: Record<string, string>, body: Blob | FormData | null, signal: AbortSignal,
  sent: (bytes: number) => void = () => {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Failure("stopped"));
    const x = new XMLHttpRequest();
    let watch = 0;
    const expect = (ms: number) => {
      clearTimeout(watch);
      watch = window.setTimeout(() => end(new Failure("line")), ms);
    };
    const stop = () => end(new Failure("stopped"));
    const end = (result: Failure | Answer) => {
      clearTimeout(watch);
      signal.removeEventListener("abort", stop);
      if (result instanceof Failure) {
        x.abort();
        reject(result);
      } else {
        resolve(result);
      }
    };
    x.open(method, url);
    for (const [name, value] of Object.entries(headers)) if (value) x.setRequestHeader(name, value);
    x.upload.onprogress = (e) => {
      expect(stallAfter);
      sent(e.loaded);
    };
    x.upload.onload = () => expect(answerWithin);
    x.onload = () => end({ status: x.status, body: x.responseText, header: (name) => x.getResponseHeader(name) ?? "" });
    x.onerror = () => end(new Failure("line"));
    signal.addEventListener("abort", stop);
    expect(body ? stallAfter : answerWithin);
    x.send(body);
  });
}

/** Rejects with a Failure when the browser cannot read a file: a request would then just say that the line dropped. */
export async function readable(file: Blob): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
    await file.slice(-1).arrayBuffer();
  } catch {
    throw new Failure("unreadable");
  }
}

/** The receipts in a body: one, or a list; null when it has none. */
export function receipts(body: string): Receipt[] | null {
  try {
    const said: unknown = JSON.parse(body);
    const list = Array.isArray(said) ? said : [said];
    return list.length > 0 && list.every((r) => typeof r?.status === "string" && typeof r?.id === "string") ? (list as Receipt[]) : null;
  } catch {
    return null;
  }
}

/** The failure that an answer without a receipt means. */
export function failure(answer: Answer): Failure {
  const after = Number(answer.header("Retry-After")) || 0;
  switch (true) {
    case answer.status === 401 || answer.status === 403 || answer.status === 421:
      return new Failure("denied", answer.status);
    case answer.status === 408 || answer.status === 423 || answer.status === 429 || answer.status >= 500:
      return new Failure("busy", answer.status, after);
  }
  return new Failure("odd", answer.status);
}

/** Text as the value of a header: bytes of UTF-8, since browsers send one byte for each character. */
export function headerText(s: string): string {
  return String.fromCharCode(...new TextEncoder().encode(s));
}
