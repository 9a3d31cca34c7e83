// Shows on a Sampler (Stride) or Schedule (Stride) node the options that its choice has, with that
// choice's own defaults, and the curve of a schedule as it is changed.

import { app } from "../../scripts/app.js";
import { addCurve } from "./curve.js";

const CHOICES = { StrideSampler: "sampler", StrideSchedule: "schedule" }; // node: its dropdown
const defaults = {}; // node: {sampler or schedule: {option: default}}, from the node's definition
let models = []; // the kinds of model that a curve can be drawn for

function widgetOf(node, name) {
  return node.widgets.find((widget) => widget.name === name);
}

/** {option: default} of what is chosen on the node. */
function optionsOf(node) {
  const type = node.comfyClass;
  return defaults[type]?.[widgetOf(node, CHOICES[type]).value] ?? {};
}

/** {option: value} as the node would send them. */
function chosenOptions(node) {
  const mine = optionsOf(node);
  const used = node.widgets.filter((widget) => widget.name in mine);
  return Object.fromEntries(used.map((widget) => [widget.name, widget.value]));
}

/** Show the widgets of the chosen entry's options and keep the others out of the prompt. */
function show(node) {
  const mine = optionsOf(node);
  const known = new Set(Object.values(defaults[node.comfyClass] ?? {}).flatMap(Object.keys));
  for (const widget of node.widgets) {
    if (!known.has(widget.name)) continue;
    const used = widget.name in mine;
    widget.hidden = !used;
    widget.options.hidden = !used; // Nodes 2.0 reads this one
    widget.options.serialize = used;
    // The classic canvas leaves room for a hidden widget unless it is told that it needs none.
    if (used) delete widget.computeSize;
    else widget.computeSize = () => [0, -4];
  }
}

/** At least as large as the node needs. */
function resize(node, [width, height]) {
  const [least, low] = node.computeSize();
  node.setSize([Math.max(width, least), Math.max(height, low)]);
  node.setDirtyCanvas(true, true);
}

function setValues(node, values) {
  for (const widget of node.widgets) {
    if (widget.name in values) widget.value = values[widget.name];
  }
}

function scheduleCurve(node, schedule) {
  const settings = () => ({
    schedule: schedule.value, options: chosenOptions(node),
    steps: widgetOf(node, "steps").value, denoise: widgetOf(node, "denoise").value,
  });
  return addCurve(node, { settings, models, names: () => schedule.options.values });
}

app.registerExtension({
  name: "stride.options",

  beforeRegisterNodeDef(nodeType, nodeData) {
    const choice = CHOICES[nodeData.name];
    if (!choice) return;
    const told = nodeData.input.required[choice][1];
    defaults[nodeData.name] = told.stride_options ?? {};
    models = told.stride_models ?? models;
  },

  nodeCreated(node) {
    if (!(node.comfyClass in CHOICES)) return;
    const choice = widgetOf(node, CHOICES[node.comfyClass]);
    let curve;
    for (const widget of node.widgets) {
      const changed = widget.callback;
      widget.callback = function (...args) {
        changed?.apply(this, args);
        if (widget === choice) {
          const spare = node.size[1] - node.computeSize()[1]; // made taller by hand
          setValues(node, optionsOf(node));
          show(node);
          resize(node, [node.size[0], node.computeSize()[1] + spare]);
        }
        curve?.update();
      };
    }

    // By name, so that a workflow keeps its values when a later version has more options.
    const serialized = node.onSerialize;
    node.onSerialize = function (data) {
      serialized?.apply(this, arguments);
      data.properties = { ...data.properties, stride_options: chosenOptions(node) };
    };
    const configured = node.onConfigure;
    node.onConfigure = function (data) {
      configured?.apply(this, arguments);
      setValues(node, { ...optionsOf(node), ...data.properties?.stride_options });
      show(node);
      resize(node, data.size ?? node.size);
      curve?.update();
    };

    if (node.comfyClass === "StrideSchedule") curve = scheduleCurve(node, choice);
    setValues(node, optionsOf(node));
    show(node);
    resize(node, [node.size[0], 0]);
    curve?.update();
  },
});
