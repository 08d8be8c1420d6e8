// Elements, and how values are written for people. Text is only ever text: no markup is made of it.

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

export const number = (value) => whole.format(value);
export const figure = (value) => (Math.abs(value) >= 1000 ? whole.format(Math.round(value)) : short.format(value));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const bytes = (count) => `${whole.format(Math.round(count / 2 ** 20))} MiB`;

export function ago(moment) {
  const seconds = Math.max(0, (Date.now() - Date.parse(moment)) / 1000);
  return seconds < 1.5 ? "now" : `${span(seconds)} ago`;
}

export function span(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${number(Math.round(seconds / 86400))} days`;
}

// UTC, as it stands in the log.
export const moment = (text) => text.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1").replace(/(\.000)?Z?$/, "");

// A moment that tells how long ago it is; `tick` keeps it true.
export function when(text) {
  return el("time", { dateTime: text, title: `${moment(text)} UTC`, class: "ago" }, ago(text));
}

export function tick(root) {
  for (const each of root.querySelectorAll("time.ago")) each.textContent = ago(each.dateTime);
}

export const deviceLink = (source) => {
  const slash = source.indexOf("/");
  const [type, name] = slash < 0 ? [source, ""] : [source.slice(0, slash), source.slice(slash + 1)];
  return `#/device/${encodeURIComponent(type)}/${encodeURIComponent(name)}`;
};

export function problem(error) {
  return el("div", { class: "problem", role: "alert" }, el("strong", {}, error.title ?? "This did not work"), ` ${error.message}`);
}

export function say(text) {
  document.getElementById("said").textContent = text;
}

// A value of JSON: short ones on their line, others as a block.
export function json(value) {
  if (value === null || typeof value !== "object") return el("code", {}, plain(value));
  return el("pre", { tabIndex: 0 }, JSON.stringify(value, null, 2));
}

export const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// Names and values, also of what is nested once; what is deeper stands as JSON.
export function facts(record, nested = false) {
  const list = el("dl", { class: nested ? "facts nested" : "facts" });
  for (const [name, value] of Object.entries(record)) {
    const inner = !nested && value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length;
    list.append(el("dt", {}, name), el("dd", {}, inner ? facts(value, true) : json(value)));
  }
  return list;
}

export function table(caption, columns, rows) {
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    el("table", {},
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, columns.map((each) => el("th", { scope: "col", class: each.startsWith("#") ? "count" : "" }, each.replace("#", ""))))),
      el("tbody", {}, rows)));
}
