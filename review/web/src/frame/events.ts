// The node's live view of its log (GET /events): server-sent events, read by fetch, so that a page that was hidden goes on
// where it was (Last-Event-ID) and hidden pages hold no connection: browsers have six for each site.

export interface LiveEvent {
  type: string;
  time: string;
  object_id?: string;
  priority?: string;
  ids?: { study_instance_uid?: string; series_instance_uid?: string; sop_instance_uid?: string };
}

const pause = 10_000; // ms before a connection that ended is tried again

/** Calls heard for each event while the page is shown, until the function that is returned is called. */
export function follow(heard: (event: LiveEvent) => void): () => void {
  let last = "";
  let current: AbortController | undefined;
  let timer = 0;
  let over = false;

  const read = async (signal: AbortSignal): Promise<void> => {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (last) headers["Last-Event-ID"] = last;
    const answer = await fetch("/events", { headers, signal, cache: "no-store" });
    if (answer.status === 400) last = ""; // the log is another one now
    if (!answer.ok || !answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        let id = "";
        let data = "";
        for (const line of block.split("\n")) {
          if (line.startsWith("id: ")) id = line.slice(4);
          else if (line.startsWith("data: ")) data += line.slice(6);
        }
        if (id) last = id;
        if (data && !over) heard(JSON.parse(data) as LiveEvent);
      }
    }
  };

  const start = async (): Promise<void> => {
    if (current || over || document.hidden) return;
    const mine = new AbortController();
    current = mine;
    try {
      await read(mine.signal);
    } catch {
      // The node is away or the page was hidden: it is tried again.
    }
    if (current === mine) current = undefined;
    if (!mine.signal.aborted && !over) timer = window.setTimeout(start, pause);
  };
  const stop = (): void => {
    window.clearTimeout(timer);
    current?.abort();
    current = undefined;
  };
  const shown = (): void => (document.hidden ? stop() : void start());
  document.addEventListener("visibilitychange", shown);
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", shown);
  void start();
  return () => {
    over = true;
    stop();
    document.removeEventListener("visibilitychange", shown);
    window.removeEventListener("pagehide", stop);
    window.removeEventListener("pageshow", shown);
  };
}
