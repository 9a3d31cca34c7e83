// The live curve of a Schedule (Stride) node: a DOM widget that asks the server for the sigmas of
// what the node is set to, without a prompt, and draws them.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { Plot, SIGMA, readable } from "./plot.js";

const HEIGHT = 310, WIDTH = 360; // least size of the widget and of its node
const MARGIN = 10; // that the classic canvas leaves around a DOM widget
const LOG_ABOVE = 50; // a model with a larger sigma gets a logarithmic axis unless told otherwise

const STYLE = `
.stride-curve { --ink: var(--input-text, #ddd); --quiet: var(--descrip-text, #999);
  --paper: var(--comfy-input-bg, #222); /* mixed with the ink, colours suit dark and light */
  --one: color-mix(in oklab, #ff9420 72%, var(--ink));
  --two: color-mix(in oklab, #2a8cf5 66%, var(--ink));
  display: flex; flex-direction: column; gap: 4px; box-sizing: border-box; width: 100%;
  contain: inline-size;
  min-height: ${HEIGHT}px; padding: 6px; border-radius: 8px; background: var(--paper);
  color: var(--ink); font: 11px/1.3 Inter, system-ui, sans-serif; user-select: none; }
.stride-curve-bar { display: flex; gap: 4px; align-items: center; }
.stride-curve-bar > * { font: inherit; color: inherit; height: 22px; box-sizing: border-box;
  border: 1px solid color-mix(in srgb, var(--ink) 25%, transparent); border-radius: 5px;
  background: color-mix(in srgb, var(--ink) 6%, var(--paper)); padding: 0 4px; }
.stride-curve-bar option { color: var(--ink); background: var(--paper); }
.stride-curve-bar select { flex: 1 1 0; min-width: 0; cursor: pointer; }
.stride-curve-bar input { width: 54px; }
.stride-curve-bar button { cursor: pointer; }
.stride-curve-bar > :hover, .stride-curve-bar > :focus-visible { border-color: var(--one); }
.stride-curve-bar .compare { color: var(--two); }
.stride-curve-plot { flex: 1 1 auto; min-height: 0; position: relative; overflow: hidden;
  cursor: crosshair; }
.stride-curve-plot svg { position: absolute; inset: 0; display: block; }
.stride-curve-said { min-height: 28px; color: var(--quiet); font-variant-numeric: tabular-nums;
  overflow: hidden; }
.stride-curve-said b { font-weight: 600; color: var(--one); }
.stride-curve-said b.two { color: var(--two); }
.stride-curve.wrong .stride-curve-plot { opacity: 0.3; }
.stride-curve.wrong .stride-curve-said { color: var(--error-text, #f44); }
.stride-curve svg path { fill: none; }
.stride-curve svg text { fill: var(--quiet); font-size: 10px; }
.stride-curve svg text.title { fill: var(--ink); opacity: 0.75; }
.stride-curve .grid { stroke: color-mix(in srgb, var(--ink) 12%, transparent); }
.stride-curve .range { stroke: var(--quiet); stroke-dasharray: 3 4; opacity: 0.8; }
.stride-curve svg .sigma-blocks, .stride-curve svg .snr-blocks { fill: var(--one); opacity: 0.2;
  stroke: var(--one); stroke-width: 0.5; }
.stride-curve .sigma-main, .stride-curve .snr-main { stroke: var(--one); stroke-width: 1.8;
  stroke-linejoin: round; }
.stride-curve .sigma-other, .stride-curve .snr-other { stroke: var(--two); stroke-width: 1.6;
  stroke-dasharray: 5 3; stroke-linejoin: round; }
.stride-curve .sigma-dots, .stride-curve .snr-dots { stroke: var(--one); stroke-width: 4.5;
  stroke-linecap: round; }
.stride-curve .cross { stroke: var(--ink); opacity: 0.45; }
.stride-curve .mark-main { fill: var(--paper); stroke: var(--one); stroke-width: 2; }
.stride-curve .mark-other { fill: var(--paper); stroke: var(--two); stroke-width: 2; }
@media (prefers-reduced-motion: no-preference) {
  .stride-curve svg [class$="-main"], .stride-curve svg [class$="-other"],
  .stride-curve svg [class$="-dots"], .stride-curve svg [class$="-blocks"] {
    transition: d 0.16s ease-out; }
}`;

function element(tag, className, attributes = {}) {
  return Object.assign(document.createElement(tag), { className, ...attributes });
}

function choices(select, pairs, chosen) {
  select.replaceChildren(
    ...pairs.map(([value, text]) => element("option", "", { value, textContent: text })),
  );
  select.value = chosen;
}

function style() {
  if (document.getElementById("stride-curve-style")) return;
  document.head.append(element("style", "", { id: "stride-curve-style", textContent: STYLE }));
}

/** The server's answer, or {error: sentence}. */
async function ask(query) {
  try {
    const answer = await api.fetchApi(`/stride/sigmas?${new URLSearchParams(query)}`);
    if (answer.ok || answer.status === 400) return await answer.json();
    return { error: `the server answered with status ${answer.status}` };
  } catch {
    return { error: "the server does not answer" };
  }
}

class Curve {
  /** settings() -> {schedule, steps, denoise, options}; models: the kinds; names() -> schedules. */
  constructor(node, { settings, models, names }) {
    Object.assign(this, { node, settings, models, names, seen: null, answers: new Map() });
    style();
    this.element = element("div", "stride-curve");
    const bar = element("div", "stride-curve-bar");
    this.model = element("select", "model", { title: "Draw for this model; after a run, its own" });
    this.number = element("input", "number", { type: "number", step: "any" });
    this.compare = element("select", "compare", { title: "A second curve to compare with" });
    this.pin = element("button", "pin", { title: "Compare with the curve as it is now" });
    this.pin.textContent = "pin";
    this.scale = element("button", "scale", { title: "Linear or logarithmic noise level" });
    bar.append(this.model, this.number, this.compare, this.pin, this.scale);
    this.plot = new Plot();
    this.box = element("div", "stride-curve-plot");
    this.box.append(this.plot.element);
    this.said = element("div", "stride-curve-said");
    this.element.append(bar, this.box, this.said);

    this.model.onchange = () => this.chooseModel(this.model.value);
    this.number.onchange = () => this.chooseNumber(this.number.value);
    this.compare.onchange = () => {
      const schedule = this.compare.value;
      if (schedule !== "pinned") this.keep({ compare: schedule && { schedule, options: {} } });
    };
    this.pin.onclick = () => {
      const { schedule, options } = this.settings();
      this.keep({ compare: { schedule, options, pinned: true } });
    };
    this.scale.onclick = () => this.keep({ log: !this.isLog() });
    this.box.onpointermove = (event) => {
      const { left, width } = this.box.getBoundingClientRect();
      this.pointAt((event.clientX - left) / width);
    };
    this.box.onpointerleave = () => this.pointAt(null);
    this.element.addEventListener("wheel", (event) => {
      // Nodes 2.0 sees the event by itself; the classic canvas lies beneath.
      if (!globalThis.LiteGraph?.vueNodesMode) app.canvas.processMouseWheel?.(event);
    });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  /** What the node remembers of the widget, in its properties. */
  get kept() {
    return { model: this.models[0]?.kind ?? "sd15", ...this.node.properties?.stride_curve };
  }

  keep(change) {
    this.node.properties.stride_curve = { ...this.kept, ...change };
    this.update();
  }

  chooseModel(value) {
    if (value === this.seen?.model) return this.update();
    this.seenChosen = false;
    this.keep({ model: value });
  }

  chooseNumber(text) {
    this.keep({ model: text === "" ? this.kind() : `${this.kind()}:${text}` });
  }

  kind() {
    return this.kept.model.split(":")[0];
  }

  asked() {
    return this.seenChosen && this.seen ? this.seen.model : this.kept.model;
  }

  /** The model that a run of the node had. */
  ran(facts) {
    this.seen = facts;
    this.seenChosen = true;
    this.update();
  }

  isLog() {
    return this.kept.log ?? this.main?.model.sigma_max > LOG_ABOVE;
  }

  controls() {
    const models = this.models.map((m) => [m.kind, m.label]);
    if (this.seen) models.unshift([this.seen.model, this.seen.label]);
    const chosen = this.seenChosen ? this.seen.model : this.kind();
    choices(this.model, models, chosen);
    const number = this.seenChosen ? null : this.models.find((m) => m.kind === chosen)?.number;
    this.number.hidden = !number;
    this.number.style.display = number ? "" : "none";
    if (number) {
      this.number.title = `${number.name}, ${number.low} to ${number.high}`;
      this.number.value = this.kept.model.split(":")[1] ?? number.default;
    }
    const { compare } = this.kept;
    const pinned = compare?.pinned ? [["pinned", pinnedLabel(compare)]] : [];
    choices(
      this.compare, [["", "compare with ..."], ...pinned, ...this.names().map((n) => [n, n])],
      compare?.pinned ? "pinned" : compare?.schedule ?? "",
    );
    this.scale.textContent = this.isLog() ? "log" : "lin";
  }

  /** Ask for what the node shows now and draw it; a burst of changes is one question. */
  update() {
    this.element.setAttribute("aria-busy", "true");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), 30);
  }

  async refresh() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const { schedule, steps, denoise, options } = this.settings();
    const common = { steps, denoise, model: this.asked() };
    const { compare } = this.kept;
    const [main, other] = await Promise.all([
      this.answer({ ...options, ...common, schedule }),
      compare ? this.answer({ ...compare.options, ...common, schedule: compare.schedule }) : null,
    ]);
    if (turn !== this.turn) return; // something changed meanwhile
    if (main.error && this.seenChosen) { // the server was started anew and knows no earlier run
      this.seenChosen = this.seen = null;
      return this.refresh();
    }
    const empty = !main.error && !main.sigmas.length;
    this.error = main.error ?? (empty ? "denoise 0: there is nothing to do" : "");
    if (!this.error) this.main = main;
    this.other = other && !other.error && other.sigmas.length ? other : null;
    this.otherError = other?.error ?? "";
    this.controls();
    this.draw();
    this.element.setAttribute("aria-busy", "false");
  }

  /** Answers are kept for a while: going back and forth costs nothing. */
  async answer(query) {
    const key = JSON.stringify(query);
    let found = this.answers.get(key);
    if (!found) {
      found = await ask(query);
      if (!found.error) this.answers.set(key, found);
      if (this.answers.size > 50) this.answers.delete(this.answers.keys().next().value);
    }
    return found;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.box;
    this.element.classList.toggle("wrong", Boolean(this.error));
    this.plot.draw(this.main, this.other, { width, height, log: this.isLog() });
    this.pointAt(this.pointed ?? null);
  }

  pointAt(share) {
    this.pointed = share;
    this.say(this.plot.point(share));
  }

  /** The line below the curves: the step under the pointer, or the whole. */
  say(step) {
    const { main, other } = this;
    if (this.error || !main) {
      this.said.textContent = this.error || "...";
      return;
    }
    const { compare } = this.kept;
    const second = compare?.pinned ? pinnedLabel(compare) : other?.schedule;
    const parts = [];
    const put = (name, className, text) => {
      parts.push(element("b", className, { textContent: name }), ` ${text}`, element("br", ""));
    };
    if (step === null) {
      const { sigmas } = main;
      put(main.schedule, "", `${sigmas.length - 1} steps, ${SIGMA} ${readable(sigmas[0])} to ` +
        `${readable(sigmas.at(-2))}, then 0`);
      if (this.otherError) parts.push(this.otherError);
      else if (other) put(second, "two", `${SIGMA} ${readable(other.sigmas[0])} to ` +
        `${readable(other.sigmas.at(-2))}, then 0`);
      else if (main.note) parts.push(main.note);
    } else {
      for (const [answer, name, className] of [[main, main.schedule, ""], [other, second, "two"]]) {
        if (answer?.sigmas[step] === undefined) continue;
        const [s, snr] = [answer.sigmas[step], answer.log_snr[step]];
        const level = snr === null ? (step === 0 ? "\u2212\u221e" : "\u221e") : readable(snr);
        const next = answer.sigmas[step + 1];
        const size = next === undefined ? "" : `, step of ${readable(s - next)}`;
        put(name, className,
          `step ${step}: ${SIGMA} ${readable(s)}, log-SNR ${level}${size}`);
      }
    }
    this.said.replaceChildren(...parts);
  }
}

function pinnedLabel({ schedule, options }) {
  const given = Object.entries(options).filter(([, v]) => v); // 0 is mostly "as the model has it"
  const text = given.map((pair) => pair.join(" ")).join(", ");
  return `${schedule}${text ? ` (${text})` : ""}, pinned`;
}

/** Put the curve on a node; call `.update()` of what it returns when the node's settings change. */
export function addCurve(node, sources) {
  const curve = new Curve(node, sources);
  // A type that is no core widget's, or Nodes 2.0 would show that one instead.
  const widget = node.addDOMWidget("stride_curve", "stride_curve", curve.element, {
    getMinHeight: () => HEIGHT + 2 * MARGIN, margin: MARGIN, hideOnZoom: false, serialize: false,
    getValue: () => "", setValue: () => {},
  });
  widget.serialize = false; // neither in the prompt nor among the workflow's values
  node.size[0] = Math.max(node.size[0], WIDTH);
  const executed = node.onExecuted;
  node.onExecuted = function (output) {
    executed?.apply(this, arguments);
    if (output?.stride?.[0]?.model) curve.ran(output.stride[0]);
  };
  const removed = node.onRemoved;
  node.onRemoved = function () {
    removed?.apply(this, arguments);
    curve.observer.disconnect();
  };
  return curve;
}
