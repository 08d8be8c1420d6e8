// The fleet: its types, and the devices of each by name with their last event.

import { get, poll } from "./api.js";
import { deviceLink, el, number, plural, problem, say, table, when } from "./dom.js";

const PAGE = 25;

export function fleet(main, [type], query) {
  const search = el("input", { type: "search", id: "find", value: query.get("find") ?? "", autocomplete: "off", spellcheck: false, placeholder: "how the name begins" });
  const totals = el("p", { class: "lead" }, "…");
  const types = el("ul", { class: "cards", "aria-label": "Types" });
  const without = el("p", { class: "faint" });
  const devices = el("section", { "aria-label": "Devices", "aria-busy": "true" });
  main.append(
    el("div", { class: "head" }, el("h1", {}, "Fleet"), totals),
    types, without,
    el("form", { class: "search", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { htmlFor: "find" }, "Find a device"), search, el("kbd", { "aria-hidden": "true" }, "/")),
    devices);

  let names = [];
  let chosen = type ?? null;
  let counted = null; // events, at the last look
  const show = (found, error) => {
    if (error) { totals.replaceChildren(problem(error)); return; }
    names = found.types.filter((each) => each.actors && each.type).map((each) => each.type);
    const actors = found.types.reduce((sum, each) => sum + each.actors, 0);
    const events = found.types.reduce((sum, each) => sum + each.events, 0);
    totals.replaceChildren(`${plural(actors, "device")}, ${plural(events, "event")}`,
      found.complete ? "" : ` so far: counted up to position ${[found.through].flat().map(number).join(", ")}`);
    const shown = found.types.filter((each) => each.type && (each.actors || each.type === chosen));
    const others = found.types.filter((each) => each.known && !shown.includes(each)).map((each) => each.type);
    without.textContent = others.length ? `No device yet: ${others.join(", ")}` : "";
    shown.sort((one, other) => other.actors - one.actors || (one.type < other.type ? -1 : 1));
    if (!chosen && shown.length) { chosen = shown[0].type; list(); }
    // Where the keyboard is in this list, it stays.
    const focused = types.contains(document.activeElement) ? document.activeElement.hash : null;
    types.replaceChildren(...shown.map((each) => card(each, each.type === chosen)));
    if (focused) [...types.querySelectorAll("a")].find((link) => link.hash === focused)?.focus();
    const busy = devices.hasAttribute("aria-busy") || devices.contains(document.activeElement);
    if (events !== counted && counted !== null && !busy) list(place, true);
    counted = events;
  };

  // One list at a time; who has typed on does not see the older one. `quiet`: it is only brought up to date.
  let turn = 0, place = [""];
  async function list(after = [""], quiet = false) {
    const mine = ++turn;
    place = after;
    if (!quiet) devices.setAttribute("aria-busy", "true");
    const wanted = search.value.trim();
    try {
      // A name may be of any type: the chosen one comes first.
      const among = wanted && after.length < 2 ? [chosen, ...names.filter((each) => each !== chosen)] : [chosen];
      const pages = await Promise.all(among.map((each) => read(each, wanted, after.at(-1))));
      if (mine !== turn) return;
      const found = pages.filter((each) => each.actors.length);
      devices.replaceChildren(...(found.length ? found : pages.slice(0, 1)).flatMap((each) => shown(each, wanted, after)));
      if (!quiet) say(`${plural(found.reduce((sum, each) => sum + each.actors.length, 0), "device")} shown`);
    } catch (error) {
      if (mine !== turn) return;
      devices.replaceChildren(problem(error));
    }
    devices.removeAttribute("aria-busy");
  }

  async function read(of, wanted, after) {
    const parameters = new URLSearchParams({ limit: PAGE });
    if (wanted) parameters.set("prefix", wanted);
    if (after) parameters.set("after", after);
    return get(`/v1/actors/${encodeURIComponent(of)}?${parameters}`);
  }

  function shown(page, wanted, after) {
    const heading = el("h2", {}, page.type);
    if (!page.actors.length) {
      return [heading, el("p", { class: "faint" }, wanted ? `No device has a name that begins with “${wanted}”.` : `No ${page.type} has an event yet.`)];
    }
    const rows = page.actors.map((each) => el("tr", {},
      el("td", {}, el("a", { href: deviceLink(`${page.type}/${each.name}`) }, each.name)),
      el("td", {}, el("code", {}, each.event_type)),
      el("td", {}, when(each.recorded_at)),
      el("td", { class: "count" }, number(each.version))));
    const listed = [heading, table(`Devices of the type ${page.type}`, ["name", "last event", "when", "#events"], rows)];
    if (page.type !== chosen) {
      return page.next === null ? listed : [...listed, el("p", { class: "faint" }, "There are more: type on.")];
    }
    return [...listed,
      el("div", { class: "pages" },
        el("button", { type: "button", disabled: after.length < 2, onclick: () => list(after.slice(0, -1)) }, "Back"),
        el("button", { type: "button", disabled: page.next === null, onclick: () => list([...after, page.next]) }, "More"))];
  }

  let typing;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => chosen && list(), 150); });
  if (chosen) list();
  const stop = poll((options) => get("/v1/types", options), show, 3000);
  return () => { stop(); clearTimeout(typing); turn += 1; };
}

function card(each, chosen) {
  const kinds = [...each.event_types].sort((one, other) => other.events - one.events);
  const last = kinds.reduce((found, kind) => (!found || kind.last_recorded_at > found.last_recorded_at ? kind : found), null);
  return el("li", {}, el("a", { class: "card", href: `#/fleet/${encodeURIComponent(each.type)}`, "aria-current": chosen ? "true" : undefined },
    el("span", { class: "name" }, each.type),
    el("span", { class: "big" }, number(each.actors)), el("span", { class: "faint" }, plural(each.events, "event")),
    shares(kinds, each.events),
    last ? el("span", { class: "faint" }, last.event_type, ", ", when(last.last_recorded_at)) : el("span", { class: "faint" }, "no event yet")));
}

// What its events are, at a glance; the numbers stand in the title.
function shares(kinds, total) {
  const bar = el("span", { class: "shares", "aria-hidden": "true" });
  kinds.forEach((kind, index) => {
    const share = el("span", { class: `share s${index % 6}`, title: `${kind.event_type}: ${number(kind.events)}` });
    share.style.flexGrow = String(kind.events / total);
    bar.append(share);
  });
  return bar;
}
