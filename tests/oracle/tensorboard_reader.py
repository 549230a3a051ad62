"""Reads the event files of a small run with TensorBoard itself and compares them with metrics.jsonl.

Needs the package tensorboard (`pip install tensorboard`); run by `make test-oracle-tensorboard`, or by hand:
`python3 tests/oracle/tensorboard_reader.py build/xlstm`. The run is cut short as by a crash and resumed, so there are two
event files, and steps of the first that the second replaces. Checked are both of TensorBoard's readers in Python, what
its server answers to a browser (which reads by other code where tensorboard-data-server is installed), and metrics.csv
and report.html with Python's parsers.
"""

import csv
import html.parser
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

CONFIG = """
trainer: {name: 'oracle "<b>"', accelerator: cpu, max_steps: 25, val_check_interval: 10, limit_val_batches: 2,
          log_every_n_steps: 1, checkpoint_every_n_steps: 10}
model: {arch: xlstm, embedding_dim: 16, num_blocks: 2, signature: [1, 1],
        mlstm_block: {mlstm: {num_heads: 2}}, slstm_block: {slstm: {num_heads: 2}}}
data: {n_stories: 200, vocab_size: 300, max_length: 24, batch_size: 2}
sample: {prompts: [Once upon, "Two\\nlines, a \\"quote\\" & <tag> äß"], max_new_tokens: 8}
"""


def check(condition, what):
    if not condition:
        sys.exit(f"tensorboard_reader: failed: {what}")


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def train(program, folder):
    (folder / "config.yaml").write_text(CONFIG)
    fit = [program, "fit", "--config", "config.yaml"]
    subprocess.run(fit, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    run = next((folder / "runs").glob("*/version_0"))
    config = json.loads((run / "run.json").read_text())["config"]
    # As if the process had died after its last row: the checkpoint that it wrote at the end is not there.
    shutil.rmtree(max((run / "checkpoints").iterdir()))
    resumed = [*fit, "--ckpt_path", "last", "--trainer.max_steps", "33"]
    subprocess.run(resumed, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return run, config


def flatten(value, path=""):
    if not isinstance(value, dict):
        return {path: value}
    flat = {}
    for key, member in value.items():
        flat.update(flatten(member, f"{path}.{key}" if path else key))
    return flat


def expected_of(rows):
    """Scalars and texts, {tag: {step: value}}, by the rules of docs/logging.md."""
    scalars, texts = {}, {}
    for row in rows:
        step, split = row["step"], row["split"]
        if split == "sample":
            same = sum(1 for values in texts.values() if step in values)
            texts.setdefault(f"sample_{same}", {})[step] = row["text"]
            continue
        for key, value in row.items():
            if key in ("step", "split") or not isinstance(value, (int, float)):
                continue
            if split == "train":
                tag = "train_loss" if key == "loss" else key
            elif key == "epoch":
                continue
            else:
                tag = f"val_{key}"
            scalars.setdefault(tag, {})[step] = single(value)
    return scalars, texts


def compare(what, got, expected):
    check(sorted(got) == sorted(expected), f"{what}: tags {sorted(got)}, expected {sorted(expected)}")
    for tag, values in expected.items():
        check(got[tag] == values, f"{what}: {tag}: got {got[tag]}, expected {values}")


def unique(pairs, what):
    values = {}
    for step, value in pairs:
        check(step not in values, f"{what}: step {step} stands twice")
        values[step] = value
    return values


def check_hparams(contents, config, what):
    start = plugin_data_pb2.HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    experiment = plugin_data_pb2.HParamsPluginData.FromString(contents["_hparams_/experiment"]).experiment
    end = plugin_data_pb2.HParamsPluginData.FromString(contents["_hparams_/session_end_info"]).session_end_info
    got = {}
    for name, value in start.hparams.items():
        kind = value.WhichOneof("kind")
        got[name] = getattr(value, kind)
    flat = flatten(config)
    check(sorted(got) == sorted(flat), f"{what}: hparams {sorted(got)}, expected {sorted(flat)}")
    for name, value in flat.items():
        if isinstance(value, (bool, int, float, str)):
            check(got[name] == value, f"{what}: hparam {name}: got {got[name]!r}, expected {value!r}")
        else:
            check(json.loads(got[name]) == value, f"{what}: hparam {name}: got {got[name]!r}, expected {value!r}")
    check(sorted(i.name for i in experiment.hparam_infos) == sorted(flat), f"{what}: columns of hparams")
    check("hp_metric" in [m.name.tag for m in experiment.metric_infos], f"{what}: hp_metric is no metric")
    check(end.status == 1, f"{what}: status of the session")
    return len(flat)


def read_plain(run, scalars, texts, config):
    reader = event_accumulator.EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    reader.Reload()
    tags = reader.Tags()
    got = {t: unique(((e.step, e.value) for e in reader.Scalars(t)), t) for t in tags["scalars"]}
    compare("EventAccumulator, scalars", got, scalars)
    got = {}
    for tag in reader.PluginTagToContent("text"):
        name = tag.removesuffix("/text_summary")
        # This reader, unlike the server's, does not drop texts of steps that were computed again.
        values = ((e.step, e.tensor_proto.string_val[0].decode()) for e in reader.Tensors(tag))
        got[name] = {step: text for step, text in values if step in texts[name]}
    compare("EventAccumulator, texts", got, texts)
    return check_hparams(reader.PluginTagToContent("hparams"), config, "EventAccumulator")


def read_as_the_server_does(run, scalars, texts, config):
    reader = plugin_event_accumulator.EventAccumulator(str(run), size_guidance={"tensors": 0})
    reader.Reload()

    def values_of(plugin, convert):
        found = {}
        for tag in reader.PluginTagToContent(plugin):
            values = [(e.step, convert(tensor_util.make_ndarray(e.tensor_proto))) for e in reader.Tensors(tag)]
            found[tag.removesuffix("/text_summary")] = unique(values, tag)
        return found

    compare("server's reader, scalars", values_of("scalars", lambda a: a.item()), scalars)
    compare("server's reader, texts", values_of("text", lambda a: a.item().decode()), texts)
    check_hparams(reader.PluginTagToContent("hparams"), config, "server's reader")


def ask_the_server(folder, run, scalars, texts, config, fast):
    name = str(run.relative_to(folder))
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1",
               f"--load_fast={fast}", "--samples_per_plugin", "scalars=1000,text=1000"]
    log = tempfile.TemporaryFile("w+")
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            log.seek(0)
            if found := re.search(r"http://127\.0\.0\.1:\d+", log.read()):
                break
            check(server.poll() is None, "TensorBoard ended")
            time.sleep(0.2)
        else:
            check(False, "TensorBoard has not started")

        def get(path, query=None, body=None):
            url = f"{found[0]}/data/plugin/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)

        for _ in range(100):
            tags = get("scalars/tags").get(name, {})
            if "hp_metric" in tags:
                break
            time.sleep(0.2)
        # The fast server knows no start of a session. It drops a point when an earlier step follows, so of a curve with
        # few points those stay that the resumed run made at other steps: true values of a run that is the same, bit for
        # bit.
        stays = fast == "true"
        got = {}
        for tag in tags:
            answer = get("scalars/scalars", {"run": name, "tag": tag})
            got[tag] = unique(((step, single(value)) for _, step, value in answer), tag)
            if stays:
                got[tag] = {step: value for step, value in got[tag].items() if step in scalars[tag] or step != 25}
        compare(f"server (load_fast={fast}), scalars", got, scalars)
        got = {}
        for tag in get("text/tags").get(name, []):
            steps = [entry["step"] for entry in get("text/text", {"run": name, "tag": tag})]
            steps = [step for step in steps if not stays or step != 25]
            got[tag.removesuffix("/text_summary")] = steps
        check(got == {tag: sorted(values) for tag, values in texts.items()}, f"server (load_fast={fast}), texts: {got}")
        groups = get("hparams/session_groups", body={
            "experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE",
                                                     "STATUS_RUNNING"],
            "colParams": [{"metric": {"group": "", "tag": "hp_metric"}}], "startIndex": 0, "sliceSize": 10})
        check(len(groups["sessionGroups"]) == 1, f"server: {len(groups['sessionGroups'])} hparams sessions")
        group = groups["sessionGroups"][0]
        check(group["hparams"]["optimizer.lr"] == config["optimizer"]["lr"], "server: hparams")
        metric = [m["value"] for m in group["metricValues"] if m["name"]["tag"] == "hp_metric"]
        check(metric and single(metric[0]) == max(scalars["val_loss"].items())[1], "server: hp_metric")
    finally:
        server.terminate()
        server.wait()
        log.close()


class TagChecker(html.parser.HTMLParser):
    """Every tag is closed in order; no script, no address outside the folder."""

    VOID = {"meta", "br", "wbr"}

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links = [], "", []

    def handle_starttag(self, tag, attributes):
        check(tag not in ("script", "link", "img", "iframe", "b>"), f"report.html: has <{tag}>")
        for name, value in attributes:
            check(not name.startswith("on") and name not in ("src", "xlink:href"), f"report.html: has {name}=")
            if name == "href":
                check(value.startswith("./"), f"report.html: link to {value}")
                self.links.append(urllib.parse.unquote(value))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"report.html: </{tag}> within {self.open}")
        self.open.pop()

    def handle_data(self, data):
        self.text += data


def check_csv(run, rows):
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    check(len(table) == len(rows), f"metrics.csv: {len(table)} rows, expected {len(rows)}")
    for got, row in zip(table, rows):
        for key, text in got.items():
            value = row.get(key)
            same = text == "" if value is None else text == value if isinstance(value, str) else float(text) == value
            check(same, f"metrics.csv: step {row['step']}, {key}: got {text!r}, expected {value!r}")


def check_report(run, rows):
    page = (run / "report.html").read_text(encoding="utf-8")
    parser = TagChecker()
    parser.feed(page)
    parser.close()
    check(not parser.open, f"report.html: not closed: {parser.open}")
    check('oracle "<b>"' in parser.text, "report.html: name of the run")
    ending = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", rows[-1]["text"][-4:])
    check(ending in parser.text, "report.html: the last sample")
    for link in parser.links:
        check((run / link).exists(), f"report.html: link to {link}, which is not there")
    check("metrics.jsonl" in parser.text and len(parser.links) > 5, "report.html: files")
    return len(page)


def main():
    program = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/xlstm")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Of hparams, all readers keep the first that they see: those with which the run was started.
        run, config = train(program, folder)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        scalars, texts = expected_of(rows)
        last = max(scalars["val_loss"])
        scalars["hp_metric"] = {last: scalars["val_loss"][last]}
        check(sorted(scalars["train_loss"]) == list(range(1, 34)), "metrics.jsonl: steps")
        check(len(list(run.glob("events.out.tfevents.*"))) == 2, "expected two event files")
        n_hparams = read_plain(run, scalars, texts, config)
        read_as_the_server_does(run, scalars, texts, config)
        for fast in ("false", "true"):
            ask_the_server(folder, run, scalars, texts, config, fast)
        check_csv(run, rows)
        size = check_report(run, rows)
        print(f"tensorboard_reader: ok: {sum(map(len, scalars.values()))} scalars of {len(scalars)} tags, "
              f"{sum(map(len, texts.values()))} texts, {n_hparams} hparams, by two readers and the server in both modes; "
              f"metrics.csv: {len(rows)} rows; report.html: {size} bytes")


if __name__ == "__main__":
    main()
