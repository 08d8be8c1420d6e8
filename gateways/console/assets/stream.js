// A stream of server-sent events that goes on where it broke off. `EventSource` can show no token, so
// this reads it with `fetch`, and says by Last-Event-ID what it has: the gateway goes on behind that.

import { Problem, request } from "./api.js";

const PAUSE_MS = [250, 500, 1000, 2000, 5000];
// Nothing for so long, not even a sign of life: the connection is dead, whatever the browser believes.
const SILENCE_MS = 40_000;

export class Stream {
  // `on.events(list)` takes [{position, text}] in order; `on.state(word, problem)` hears how it goes.
  // It begins behind `position`, or with what comes from now on (null). A position is a text: one
  // number, or one for each partition.
  constructor(query, on, position = null) {
    this.query = query;
    this.on = on;
    this.position = position; // of the last event that has come, or that the gateway has passed over
    this.closed = false;
    this.tries = 0;
    this.run();
  }

  close() {
    this.closed = true;
    this.abort?.abort();
    clearTimeout(this.waiting);
    this.wake?.();
  }

  async run() {
    while (!this.closed) {
      try {
        this.on.state(this.tries ? "again" : "opening");
        await this.read();
        if (!this.closed) this.on.state("broken"); // the gateway has ended it: it is being stopped
      } catch (error) {
        if (this.closed) return;
        if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
          this.on.state("refused", error);
          return;
        }
        this.on.state("broken");
      }
      if (this.closed) return;
      const pauseMs = PAUSE_MS[Math.min(this.tries, PAUSE_MS.length - 1)];
      this.tries += 1;
      await new Promise((done) => { this.wake = done; this.waiting = setTimeout(done, pauseMs); });
    }
  }

  async read() {
    this.abort = new AbortController();
    const headers = this.position === null ? {} : { "Last-Event-ID": String(this.position) };
    const answer = await request(`/v1/events?${this.query}`, { headers, signal: this.abort.signal });
    this.on.state("open");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const silence = setTimeout(() => this.abort.abort(), SILENCE_MS);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done || this.closed) return;
      this.tries = 0;
      rest += value;
      const end = rest.lastIndexOf("\n\n");
      if (end < 0) continue;
      this.take(rest.slice(0, end));
      rest = rest.slice(end + 2);
    }
  }

  take(text) {
    const events = [];
    for (const block of text.split("\n\n")) {
      let position = null, data = null;
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) position = line.slice(4);
        else if (line.startsWith("data: ")) data = line.slice(6);
      }
      if (position === null) continue;
      if (data !== null) events.push({ position, text: data });
      this.position = position;
    }
    if (events.length) this.on.events(events);
  }
}

export const STATES = {
  opening: "connecting",
  again: "connecting again",
  open: "connected",
  broken: "the connection broke: it comes back without a gap",
  refused: "refused",
};
