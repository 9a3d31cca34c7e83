// Two curves of sigmas as inline SVG: sigma and log-SNR against the step, drawn to size.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 40, RIGHT = 10, TOP = 16, BETWEEN = 26, BOTTOM = 18; // pixels around the two panels
const DOTS = 48, BLOCKS = 120, POINTS = 500; // steps up to which they are drawn one by one

export const SIGMA = "\u03c3";
const MINUS = "\u2212";

/** A number as a person reads it: four digits, a true minus. */
export function readable(value) {
  if (value === null || value === undefined) return "\u221e";
  const size = Math.abs(value);
  const text = size >= 1e5 || (size > 0 && size < 1e-3)
    ? value.toExponential(2) : String(Number(value.toPrecision(size >= 1000 ? 5 : 4)));
  return text.replace("-", MINUS);
}

function add(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** Round numbers from low to high, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) ?? rough;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

function decades(low, high) {
  const every = Math.max(1, Math.round(Math.log10(high / low) / 4));
  const found = [];
  for (let p = Math.ceil(Math.log10(low)); 10 ** p <= high * 1.001; p++) {
    if (p % every === 0) found.push(10 ** p);
  }
  return found;
}

const finite = (values) => values.filter((v) => v !== null && Number.isFinite(v));

/** One panel's vertical axis: value -> pixel; infinities and a log axis's 0 land on the edges. */
function axis(low, high, top, bottom, log) {
  const f = log ? Math.log : (v) => v;
  const scale = (bottom - top) / (f(high) - f(low) || 1);
  return (value) => {
    if (log && value <= 0) return bottom;
    return Math.min(bottom, Math.max(top, bottom - (f(value) - f(low)) * scale));
  };
}

/** Indices to draw of `count`, with both ends. */
function thinned(count) {
  const every = Math.max(1, Math.ceil(count / POINTS));
  const found = [];
  for (let i = 0; i < count - 1; i += every) found.push(i);
  return [...found, count - 1];
}

export class Plot {
  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("role", "img");
    this.ids = `stride-${Math.random().toString(36).slice(2)}`;
    this.parts = {};
    this.view = null;
  }

  /** A named part, made once and kept, so that a change of its shape can be animated. */
  part(name, tag, attributes) {
    if (!this.parts[name]) this.parts[name] = add(this.element, tag, { class: name });
    for (const [key, value] of Object.entries(attributes)) {
      if (this.parts[name].getAttribute(key) !== String(value)) {
        this.parts[name].setAttribute(key, value);
      }
    }
    return this.parts[name];
  }

  /**
   * Draw the answer of /stride/sigmas, and another one to compare with or null.
   * log: whether the sigma axis is logarithmic.
   */
  draw(main, other, { width, height, log }) {
    if (!main || width < 60 || height < 60) return;
    const right = width - RIGHT;
    const middle = TOP + (height - TOP - BETWEEN - BOTTOM) * 0.55;
    const [sigmaBottom, snrTop, snrBottom] = [middle, middle + BETWEEN, height - BOTTOM];
    const all = [main, ...(other ? [other] : [])];
    const { sigma_min: least, sigma_max: most } = main.model;
    const high = Math.max(most, ...finite(all.flatMap((a) => a.sigmas)));
    const positive = finite(all.flatMap((a) => a.sigmas)).filter((s) => s > 0);
    const low = log ? Math.min(least, ...positive) * 0.8 : 0;
    const sigmaAt = axis(low, high * (log ? 1.25 : 1.03), TOP, sigmaBottom, log);
    const flow = main.model.process === "FLOW";
    const snrOf = (s) => Math.log((flow ? 1 - s : 1) / s);
    const levels = finite([...all.flatMap((a) => a.log_snr), snrOf(least), snrOf(most)]);
    const [snrLow, snrHigh] = [Math.min(...levels), Math.max(...levels)];
    const pad = Math.max(0.4, (snrHigh - snrLow) * 0.06);
    const snrAt = axis(snrLow - pad, snrHigh + pad, snrTop, snrBottom, false);
    const steps = Math.max(...all.map((a) => a.sigmas.length - 1), 1);
    const stepAt = (i) => LEFT + (i / steps) * (right - LEFT);

    this.element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.element.setAttribute("width", width);
    this.element.setAttribute("height", height);
    this.element.setAttribute(
      "aria-label",
      `${main.schedule}: ${steps} noise levels from ${readable(main.sigmas[0])} to 0`,
    );
    this.frame(log ? decades(low, high) : ticks(0, high, 4), ticks(snrLow, snrHigh, 4), {
      sigmaAt, snrAt, stepAt, steps, right, sigmaBottom, snrTop, snrBottom, log, least, most, snrOf,
    });
    for (const [name, key, at, bottom, top] of [
      ["sigma", "sigmas", sigmaAt, sigmaBottom, TOP], ["snr", "log_snr", snrAt, snrBottom, snrTop],
    ]) {
      // An infinite log-SNR is at the bottom for the first level and at the top for the last.
      const pixel = (values) => (i) =>
        values[i] === null ? (i === 0 ? bottom : top) : at(values[i]);
      this.blocks(`${name}-blocks`, main[key], stepAt, pixel(main[key]));
      this.line(`${name}-other`, other?.[key] ?? [], stepAt, pixel(other?.[key] ?? []));
      this.line(`${name}-main`, main[key], stepAt, pixel(main[key]));
      this.dots(`${name}-dots`, main[key], stepAt, pixel(main[key]));
    }
    this.view = { main, other, stepAt, steps, right, snrBottom, sigmaAt, snrAt, width };
    this.point(null);
  }

  /** Grid, numbers, titles and the model's range. */
  frame(sigmaTicks, snrTicks, v) {
    const grid = [], labels = this.part("labels", "g", {});
    labels.replaceChildren();
    const label = (x, y, text, anchor, kind = "number") =>
      add(labels, "text", { x, y, "text-anchor": anchor, class: kind }, text);
    for (const [values, at] of [[sigmaTicks, v.sigmaAt], [snrTicks, v.snrAt]]) {
      for (const value of values) {
        const y = at(value);
        grid.push(`M${LEFT} ${y}H${v.right}`);
        label(LEFT - 5, y + 3.5, readable(value), "end");
      }
    }
    for (const i of ticks(0, v.steps, Math.min(v.steps, 10)).filter(Number.isInteger)) {
      const x = v.stepAt(i);
      grid.push(`M${x} ${v.snrBottom}v4`);
      if (i > 0) label(x, v.snrBottom + 14, String(i), "middle");
    }
    this.part("grid", "path", { d: grid.join("") });
    const edges = [v.least, v.most].map((s) => `M${LEFT} ${v.sigmaAt(s)}H${v.right}`);
    for (const s of [v.least, v.most].map(v.snrOf).filter(Number.isFinite)) {
      edges.push(`M${LEFT} ${v.snrAt(s)}H${v.right}`);
    }
    this.part("range", "path", { d: edges.join("") });
    label(LEFT, TOP - 5, `${SIGMA}, noise level${v.log ? " (log scale)" : ""}`, "start", "title");
    label(v.right, TOP - 5,
      `- - model ${readable(v.least)} to ${readable(v.most)}`, "end", "title");
    label(LEFT, v.snrTop - 5, "log-SNR, ln(signal / noise)", "start", "title");
    label(LEFT - 5, v.snrBottom + 14, "step", "end", "title");
  }

  /** Each step as a block as high as the step is large. */
  blocks(name, values, x, y) {
    const rects = [];
    if (values.length - 1 <= BLOCKS) {
      for (let i = 0; i + 1 < values.length; i++) {
        rects.push(`M${x(i)} ${y(i)}H${x(i + 1)}V${y(i + 1)}H${x(i)}Z`);
      }
    }
    this.part(name, "path", { d: rects.join("") || "M0 0" });
  }

  line(name, values, x, y) {
    const points = values.length ? thinned(values.length).map((i) => `${x(i)} ${y(i)}`) : [];
    this.part(name, "path", { d: points.length ? `M${points.join("L")}` : "M0 0" });
  }

  /** A dot for each level; one path, so that the dots move with the line. */
  dots(name, values, x, y) {
    const few = values.length - 1 <= DOTS ? values.map((_, i) => i) : [];
    const dots = few.filter((i) => values[i] !== null).map((i) => `M${x(i)} ${y(i)}h0`);
    this.part(name, "path", { d: dots.join("") || "M0 0" });
  }

  /** Mark the step under a horizontal position (0..1 of the width); returns it, or null. */
  point(share) {
    const v = this.view;
    if (!v) return null;
    const x = share === null ? -1 : share * v.width;
    const inside = x >= LEFT - 8 && x <= v.right + 8;
    const i = Math.round(((x - LEFT) / (v.right - LEFT)) * v.steps);
    const step = inside ? Math.min(v.steps, Math.max(0, i)) : null;
    const d = step === null ? "M0 0" : `M${v.stepAt(step)} ${TOP}V${v.snrBottom}`;
    this.part("cross", "path", { d });
    const marks = [];
    for (const [answer, kind] of [[v.other, "other"], [v.main, "main"]]) {
      if (step === null || answer?.sigmas[step] === undefined) continue;
      marks.push([kind, v.sigmaAt(answer.sigmas[step])]);
      if (answer.log_snr[step] !== null) marks.push([kind, v.snrAt(answer.log_snr[step])]);
    }
    const group = this.part("marks", "g", {});
    group.replaceChildren();
    for (const [kind, y] of marks) {
      add(group, "circle", { cx: v.stepAt(step), cy: y, r: 4, class: `mark-${kind}` });
    }
    return step;
  }
}
