// Shows on a Sampler (Stride) or Schedule (Stride) node the options that its choice has, with that
// choice's own defaults.

import { app } from "../../scripts/app.js";

const CHOICES = { StrideSampler: "sampler", StrideSchedule: "schedule" }; // node: its dropdown
const defaults = {}; // node: {sampler or schedule: {option: default}}, from the node's definition

export function widgetOf(node, name) {
  return node.widgets.find((widget) => widget.name === name);
}

/** {option: default} of what is chosen on the node. */
function optionsOf(node) {
  const type = node.comfyClass;
  return defaults[type]?.[widgetOf(node, CHOICES[type]).value] ?? {};
}

/** {option: value} as the node would send them. */
export function chosenOptions(node) {
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
  }
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), height]);
  node.setDirtyCanvas(true, true);
}

function setValues(node, values) {
  for (const widget of node.widgets) {
    if (widget.name in values) widget.value = values[widget.name];
  }
}

app.registerExtension({
  name: "stride.options",

  beforeRegisterNodeDef(nodeType, nodeData) {
    const choice = CHOICES[nodeData.name];
    if (choice) {
      defaults[nodeData.name] = nodeData.input.required[choice][1].stride_options ?? {};
    }
  },

  nodeCreated(node) {
    if (!(node.comfyClass in CHOICES)) return;
    const choice = widgetOf(node, CHOICES[node.comfyClass]);
    const changed = choice.callback;
    choice.callback = function (...args) {
      changed?.apply(this, args);
      setValues(node, optionsOf(node));
      show(node);
    };

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
    };

    setValues(node, optionsOf(node));
    show(node);
  },
});
