"""A small client of ComfyUI's HTTP API: build a graph, queue it, wait, read what came out."""

import json
import time
import urllib.error
import urllib.request
import uuid

CONTROLS = ("fixed", "increment", "decrement", "randomize")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
NOT_NODES = ("Note", "MarkdownNote")
MUTED, BYPASSED = 2, 4


class Rejected(Exception):
    """The server did not accept the prompt; `answer` is what it said."""

    def __init__(self, answer):
        self.answer = answer
        said = [answer.get("error", {}).get("message", "")]
        for node in answer.get("node_errors", {}).values():
            for error in node["errors"]:
                said.append(f"{node['class_type']}: {error['message']}: {error['details']}")
        super().__init__("; ".join(text for text in said if text))


class Failed(Exception):
    """A node of the prompt raised; `event` is the server's `execution_error` record."""

    def __init__(self, event):
        self.event = event
        super().__init__(f"{event.get('node_type')}: {event.get('exception_message')}")


class Interrupted(Exception):
    """The run was stopped by /interrupt."""


class Graph(dict):
    """A prompt in API format. `add` returns a node, and `node[0]` is its first output."""

    class Node:
        def __init__(self, node_id):
            self.id = node_id

        def __getitem__(self, slot):
            return [self.id, slot]

    def add(self, class_type, **inputs):
        """Add a node with these inputs; links are written `node[0]`."""
        node_id = str(len(self) + 1)
        self[node_id] = {"class_type": class_type, "inputs": inputs}
        return self.Node(node_id)


def _is_widget(spec):
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    return not options.get("forceInput") and (isinstance(kind, list) or kind in WIDGET_TYPES)


def to_prompt(workflow, object_info):
    """Turn a workflow as the editor saves it into the API format that /prompt takes."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = Graph()
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in NOT_NODES or node.get("mode") == MUTED:
            continue
        if kind not in object_info or node.get("mode") == BYPASSED:
            raise ValueError(f"node {node['id']} ({kind}) is unknown here or bypassed")
        specs = object_info[kind]["input"]
        named = {**specs.get("required", {}), **specs.get("optional", {})}
        values, inputs = list(node.get("widgets_values") or []), {}
        for name, spec in named.items():
            if _is_widget(spec) and values:
                inputs[name] = values.pop(0)
                # The editor keeps a second value beside a seed: what to do with it after a run.
                options = spec[1] if len(spec) > 1 else {}
                seedlike = options.get("control_after_generate") or name in ("seed", "noise_seed")
                if seedlike and values and values[0] in CONTROLS:
                    values.pop(0)
        for slot in node.get("inputs", []):
            if slot.get("link") is not None:
                inputs[slot["name"]] = links[slot["link"]]
        prompt[str(node["id"])] = {"class_type": kind, "inputs": inputs}
    return prompt


class Client:
    """Talks to one server."""

    def __init__(self, url):
        self.url = url
        self.client_id = uuid.uuid4().hex

    def call(self, path, data=None, headers=None):
        """GET, or POST when there is `data` (JSON unless it is bytes); the answer as JSON."""
        headers = dict(headers or {})
        if data is not None and not isinstance(data, bytes):
            data = json.dumps(data).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body.strip() else None

    def object_info(self):
        """Every node that the server offers, with its inputs."""
        return self.call("/object_info")

    def queue(self, prompt):
        """Queue a prompt and return its id; raises `Rejected`."""
        try:
            answer = self.call("/prompt", {"prompt": prompt, "client_id": self.client_id})
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            raise Rejected(json.loads(error.read())) from None
        if answer.get("node_errors"):
            raise Rejected(answer)
        return answer["prompt_id"]

    def wait(self, prompt_id, timeout=300):
        """Wait for a queued prompt and return its outputs; raises `Failed` or `Interrupted`."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            history = self.call(f"/history/{prompt_id}")
            if prompt_id in history:
                entry = history[prompt_id]
                for kind, event in entry["status"]["messages"]:
                    if kind == "execution_error":
                        raise Failed(event)
                    if kind == "execution_interrupted":
                        raise Interrupted(prompt_id)
                return entry["outputs"]
            time.sleep(0.03)
        raise TimeoutError(f"the prompt did not end within {timeout} s")

    def run(self, prompt, timeout=300):
        """Queue a prompt and wait for its outputs."""
        return self.wait(self.queue(prompt), timeout)

    def watch(self, prompts, on_event, timeout=300):
        """Queue prompts together and pass the server's messages on while they run.

        `on_event(index, kind, data)` gets each message of prompt `index`. Returns the outputs of
        all of them. Needs aiohttp, which every ComfyUI has.
        """
        import asyncio

        import aiohttp

        async def listen():
            address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.client_id}"
            async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
                loop = asyncio.get_running_loop()
                known = {}
                for prompt in prompts:
                    known[await loop.run_in_executor(None, self.queue, prompt)] = len(known)
                waiting = set(known)
                while waiting:
                    message = await socket.receive(timeout)
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        if message.type is aiohttp.WSMsgType.BINARY:
                            continue  # preview pictures
                        raise ConnectionError("the server closed the connection")
                    event = json.loads(message.data)
                    kind, data = event["type"], event.get("data") or {}
                    prompt_id = data.get("prompt_id")
                    if prompt_id not in known:
                        continue
                    on_event(known[prompt_id], kind, data)
                    if kind == "execution_error":
                        raise Failed(data)
                    if kind == "execution_interrupted":
                        raise Interrupted(prompt_id)
                    if kind == "executing" and data.get("node") is None:
                        waiting.discard(prompt_id)
                return list(known)

        return [self.wait(prompt_id, timeout) for prompt_id in asyncio.run(listen())]
