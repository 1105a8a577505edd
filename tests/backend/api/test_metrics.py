import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend.api import metrics


def value(name, **labels):
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_request_is_counted_by_route_method_and_status():
    labels = {"route": "/api/cv/jobs/{job_id}", "method": "GET"}
    counted = value("sightglass_http_requests_total", **labels, status="404")
    took = value("sightglass_http_request_seconds_sum", **labels)
    metrics.observe_request("/api/cv/jobs/{job_id}", "GET", status=404, seconds=0.5)
    assert value("sightglass_http_requests_total", **labels, status="404") == counted + 1
    assert value("sightglass_http_request_seconds_sum", **labels) == took + 0.5


def test_methods_that_callers_make_up_are_one_label():
    counted = value("sightglass_http_requests_total", route="unknown", method="other", status="405")
    for method in ("BREW", "WHEN"):
        metrics.observe_request("unknown", method, status=405, seconds=0.1)
    assert value("sightglass_http_requests_total", route="unknown", method="other", status="405") == counted + 2


def test_a_batch_counts_its_size_and_its_time():
    before = {name: value(f"sightglass_prediction_batch_{name}_sum") for name in ("size", "seconds")}
    metrics.observe_batch(8, 0.25)
    assert value("sightglass_prediction_batch_size_sum") == before["size"] + 8
    assert value("sightglass_prediction_batch_seconds_sum") == before["seconds"] + 0.25


def test_a_state_without_jobs_is_nought_and_not_what_it_was():
    metrics.set_jobs({"queued": 3}, states=("queued", "running"))
    metrics.set_jobs({"running": 1}, states=("queued", "running"))
    assert value("sightglass_jobs", state="queued") == 0
    assert value("sightglass_jobs", state="running") == 1


def test_the_exposition_is_what_prometheus_reads():
    metrics.count_upload(10)
    metrics.count_refusal("key")
    metrics.set_queue_length(2)
    metrics.set_child(resident_bytes=10.0, cpu_seconds=1.5)
    names = {family.name for family in text_string_to_metric_families(metrics.exposition().decode())}
    assert {"sightglass_http_requests", "sightglass_upload_bytes", "sightglass_prediction_queue_length"} <= names
    assert all(name.startswith("sightglass_") for name in names)


def test_the_guide_names_every_figure_and_no_other():
    page = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "deployment.md").read_text(encoding="utf-8")
    families = {family.name for family in metrics.REGISTRY.collect()}
    ends = ("_total", "_bucket", "_sum", "_count")
    named = {
        next((name.removesuffix(end) for end in ends if name.endswith(end)), name)
        for name in re.findall(r"\bsightglass_[a-z_]*[a-z]\b", page)
    } - {"sightglass_process"}
    assert named - families == set()
    assert {name for name in families if not name.startswith("sightglass_process_")} - named == set()


def test_the_guide_s_rules_and_scrape_are_yaml():
    page = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "deployment.md").read_text(encoding="utf-8")
    scrape, rules = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    assert scrape["scrape_configs"][0]["metrics_path"] == "/metrics"
    assert all({"alert", "expr", "for"} == set(rule) for rule in rules["groups"][0]["rules"])
