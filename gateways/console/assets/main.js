// Which page is shown, and what all of them share: the token, light and dark, and the clock.

import { onUnknown, token } from "./api.js";
import { el, tick } from "./dom.js";
import { device } from "./device.js";
import { failures } from "./failures.js";
import { fleet } from "./fleet.js";
import { live } from "./live.js";
import { system } from "./system.js";

const PAGES = { fleet, device, live, system, failures };
const main = document.getElementById("main");
let close = () => {};

function show() {
  close();
  const [address, query] = location.hash.slice(2).split("?");
  const [name, ...rest] = address.split("/").map(decodeURIComponent);
  const page = PAGES[name] ?? fleet;
  main.replaceChildren();
  main.className = `page-${page.name}`;
  close = page(main, rest, new URLSearchParams(query)) ?? (() => {});
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.hash === `#/${page === device ? "fleet" : page.name}`;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = main.querySelector("h1")?.textContent;
  document.title = title ? `${title} · Thornback` : "Thornback";
}

function navigate() {
  show();
  main.focus({ preventScroll: true }); // so that the keyboard, and a screen reader, go on from here
  scrollTo(0, 0);
}

const dialog = document.getElementById("ask");
const field = document.getElementById("ask-token");
const forget = document.getElementById("token");

onUnknown((refused) => new Promise((done) => {
  if (refused) document.getElementById("ask-why").textContent = "That token is not known, was revoked, or has expired. Another one, please.";
  token.forget();
  forget.hidden = true;
  dialog.showModal();
  field.focus();
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    token.keep(field.value.trim());
    field.value = "";
    forget.hidden = false;
    dialog.close();
    done();
  };
}));
dialog.addEventListener("cancel", (event) => event.preventDefault()); // without one there is nothing to see
forget.hidden = token.get() === null;
forget.addEventListener("click", () => { token.forget(); forget.hidden = true; show(); });

// "", the one that the system prefers, then the two others.
const THEMES = ["", "light", "dark"];
const wear = (theme) => { document.documentElement.style.colorScheme = theme; dispatchEvent(new Event("theme")); };
wear(localStorage.getItem("thornback-theme") ?? "");
document.getElementById("theme").addEventListener("click", () => {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.style.colorScheme) + 1) % THEMES.length];
  localStorage.setItem("thornback-theme", theme);
  wear(theme);
});

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
  const search = main.querySelector("input[type=search]");
  if (search) { event.preventDefault(); search.focus(); }
});
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
addEventListener("hashchange", navigate);
setInterval(() => tick(main), 1000);
show();
