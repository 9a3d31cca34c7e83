// Shows on a Sampler (Stride) node the options that its sampler has, with that sampler's defaults.

import { app } from "../../scripts/app.js";

const NODE = "StrideSampler";
let defaults = {}; // sampler: {option: default}, from the node's own definition

function optionsOf(sampler) {
  return defaults[sampler.value] ?? {};
}

/** Show the widgets of the chosen sampler's options and keep the others out of the prompt. */
function show(node, sampler) {
  const mine = optionsOf(sampler);
  const known = new Set(Object.values(defaults).flatMap(Object.keys));
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
    if (nodeData.name === NODE) {
      defaults = nodeData.input.required.sampler[1].stride_options ?? {};
    }
  },

  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const sampler = node.widgets.find((widget) => widget.name === "sampler");
    const changed = sampler.callback;
    sampler.callback = function (...args) {
      changed?.apply(this, args);
      setValues(node, optionsOf(sampler));
      show(node, sampler);
    };

    // By name, so that a workflow keeps its values when a later version has more options.
    const serialized = node.onSerialize;
    node.onSerialize = function (data) {
      serialized?.apply(this, arguments);
      const mine = optionsOf(sampler);
      const pairs = node.widgets
        .filter((widget) => widget.name in mine)
        .map((widget) => [widget.name, widget.value]);
      data.properties = { ...data.properties, stride_options: Object.fromEntries(pairs) };
    };
    const configured = node.onConfigure;
    node.onConfigure = function (data) {
      configured?.apply(this, arguments);
      setValues(node, { ...optionsOf(sampler), ...data.properties?.stride_options });
      show(node, sampler);
    };

    setValues(node, optionsOf(sampler));
    show(node, sampler);
  },
});
