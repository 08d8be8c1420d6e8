// What did not work: commands that were rejected, that failed, or that could not be run, by type.

import { get, poll } from "./api.js";
import { deviceLink, el, number, plural, problem, when } from "./dom.js";

const OUTCOMES = { rejected: "rejected", failed: "failed", "not run": "not run" };

export function failures(main) {
  const lead = el("p", { class: "lead" }, "…");
  const choice = el("select", { id: "outcome", onchange: () => draw() }, el("option", { value: "" }, "all"), Object.entries(OUTCOMES).map(([value, text]) => el("option", { value }, text)));
  const list = el("ul", { class: "failures", "aria-label": "What did not work, the latest first" });
  main.append(el("div", { class: "head" }, el("h1", {}, "Failures"), lead),
    el("div", { class: "filters" }, el("div", {}, el("label", { htmlFor: "outcome" }, "Show"), choice)), list);
  let found = [], drawn = "";
  const draw = () => {
    const shown = found.filter((each) => !choice.value || each.outcome === choice.value);
    const now = JSON.stringify(shown);
    if (now === drawn) return; // whoever reads, or has the keyboard there, is not disturbed
    drawn = now;
    list.replaceChildren(...shown.map(entry));
    if (!shown.length) list.append(el("li", { class: "faint" }, "Nothing, since the hosts began."));
  };
  return poll((options) => get("/v1/failures", options), (answer, error) => {
    if (error) { lead.replaceChildren(problem(error)); return; }
    found = answer.failures;
    const sum = (outcome) => found.filter((each) => each.outcome === outcome).reduce((total, each) => total + each.count, 0);
    lead.textContent = `${plural(sum("rejected"), "command")} rejected, ${number(sum("failed"))} failed, ${number(sum("not run"))} not run, since the hosts began`;
    if (answer.silent.length) lead.append(`; no answer from ${answer.silent.map((each) => each.name).join(", ")}`);
    draw();
  }, 3000);
}

// The text of an exception begins with its name.
const withoutName = ({ name, text }) => (text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text);

function entry(each) {
  const [first, ...rest] = [...each.frames].reverse();
  return el("li", { class: "panel failure" },
    el("div", { class: "head" },
      el("span", { class: `badge ${each.outcome.replace(" ", "-")}` }, each.outcome),
      el("h2", {}, `${each.type}: ${each.message}`), el("strong", { class: "count" }, `${number(each.count)}×`)),
    el("p", {}, el("code", {}, each.name.split(".").at(-1)), ` ${withoutName(each)}`),
    first ? el("pre", { tabIndex: 0, class: "frames" }, [`→ ${first}`, ...rest.map((line) => `  ${line}`)].join("\n")) : null,
    el("p", { class: "faint" }, "last ", when(each.last_at), " at ", el("a", { href: deviceLink(each.source) }, each.source)));
}
