// The page of the story: reads the sliders, has Python answer, and puts the answer in place. It computes nothing itself.
"use strict";

const first = JSON.parse(document.getElementById("data").textContent);
const asked = structuredClone(first.request);
const root = document.documentElement;
const LEAST = { assistants: 0 }, MOST = { assistants: 4 };
let python = null, isWaiting = false;

try { // as the rest of the site was set
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
} catch { /* no storage here: as the system is set */ }

function groupOf(name) { return name in asked.day ? asked.day : asked.calls; }

function show(name) {
  const value = groupOf(name)[name];
  const input = document.querySelector(`input[name="${name}"]`);
  const output = document.getElementById(`o-${name}`);
  output.textContent = input ? `${value}${input.dataset.unit}` : value;
  if (input) {
    input.value = value;
    input.setAttribute("aria-valuetext", output.textContent);
  }
}

function draw() {
  isWaiting = false;
  if (!python) return;
  asked.width = Math.max(280, Math.floor(document.querySelector(".mode svg").clientWidth));
  const began = performance.now();
  const answer = JSON.parse(python.answer(JSON.stringify(asked)));
  const open = [...document.querySelectorAll(".mode details[open]")].map(each => each.closest(".mode").id);
  for (const [mode, plan] of Object.entries(answer.plans)) {
    document.getElementById(`mode-${mode}`).innerHTML = plan.html;
  }
  for (const id of open) document.querySelector(`#${id} details`).open = true;
  document.getElementById("moral").innerHTML = answer.moral;
  document.getElementById("calls").innerHTML = answer.calls;
  document.getElementById("summary").textContent = Object.entries(answer.plans)
    .map(([mode, plan]) => `${mode} ${plan.makespan_h} hours`).join(", ");
  for (const plan of Object.values(answer.plans)) delete plan.html;
  root.dataset.answer = JSON.stringify({ asked, plans: answer.plans, ms: performance.now() - began });
}

function redraw() {
  if (!isWaiting) requestAnimationFrame(draw); // however many events there are in a frame
  isWaiting = true;
}

function set(name, value) {
  groupOf(name)[name] = value;
  show(name);
  for (const button of document.querySelectorAll("[data-add]")) {
    const next = asked.day.assistants + Number(button.dataset.add);
    button.disabled = !python || next < LEAST.assistants || next > MOST.assistants;
  }
  redraw();
}

function listen() {
  for (const form of document.forms) {
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("input", event => set(event.target.name, Number(event.target.value)));
  }
  for (const button of document.querySelectorAll("[data-add]")) {
    button.addEventListener("click", () => set("assistants", asked.day.assistants + Number(button.dataset.add)));
  }
  document.getElementById("again").addEventListener("click", () => {
    for (const group of ["day", "calls"]) for (const name in asked[group]) set(name, first.request[group][name]);
  });
  document.getElementById("report").addEventListener("click", () => {
    const page = document.getElementById("report-page");
    page.hidden = false;
    page.srcdoc = python.report(JSON.stringify(asked));
    page.scrollIntoView();
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redraw();
    width = innerWidth;
  });
}

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), each => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Pyodide asks for its files by `fetch`, which a page opened from disk may not use: they stand in a script instead.
async function start(runtime) {
  const files = {};
  await Promise.all(Object.entries(runtime.files).map(async ([name, text]) => { files[name] = await unpacked(text); }));
  const own = globalThis.fetch;
  globalThis.fetch = async (address, options) => {
    const name = String(address).split("/").pop();
    if (!(name in files)) return own(address, options);
    const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    return new Response(files[name], { headers: { "Content-Type": type } });
  };
  const module = URL.createObjectURL(new Blob([files["pyodide.asm.mjs"]], { type: "text/javascript" }));
  try {
    const { default: createPyodideModule } = await import(module);
    const pyodide = await loadPyodide({
      indexURL: new URL("./", location).href, createPyodideModule, lockFileContents: runtime.lock,
    });
    pyodide.unpackArchive(files["whilst.zip"], "zip", { extractDir: "/whilst" });
    pyodide.runPython("import sys; sys.path.insert(0, '/whilst'); import story");
    const story = pyodide.pyimport("story");
    return { answer: story.answer, report: story.report };
  } finally {
    URL.revokeObjectURL(module);
    globalThis.fetch = own;
  }
}

async function main() {
  listen();
  for (const group of ["day", "calls"]) for (const name in asked[group]) show(name);
  const status = document.getElementById("status");
  const controls = [...document.querySelectorAll("form input, form button, #report")];
  for (const each of controls) each.disabled = true;
  if (!globalThis.whilstRuntime) {
    root.dataset.ready = JSON.stringify({ python: false });
    return;
  }
  const began = performance.now();
  await new Promise(done => requestAnimationFrame(() => setTimeout(done))); // the first picture is painted before that
  try {
    python = await start(globalThis.whilstRuntime);
  } catch (error) {
    status.textContent = `Python could not be started in this browser: ${error}`;
    root.dataset.ready = JSON.stringify({ python: false, error: String(error) });
    return;
  }
  for (const each of controls) each.disabled = false;
  set("assistants", asked.day.assistants);
  draw();
  status.textContent = "Python is ready: move a slider.";
  root.dataset.ready = JSON.stringify({ python: true, ms: performance.now() - began });
}

main();
