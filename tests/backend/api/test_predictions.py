import base64

import pytest

PROBLEM = "application/problem+json"


def send(client, path, image, **params):
    return client.post(path, files={"file": ("a.png", image)}, params=params)


@pytest.mark.parametrize("place", [0, 2], ids=["dataset", "model"])
def test_a_picture_is_answered_by_a_datasets_or_a_models_id(client, trained, png, place):
    answer = send(client, f"/api/cv/predict/{trained[place]}", png, top_k=1)
    body = answer.json()
    assert answer.status_code == 200
    assert body["predictions"] == [{"label": "circle", "confidence": 0.7}]
    assert body["model"]["model_id"] == "md-1"
    assert "heatmap_png" not in body


def test_an_explained_prediction_carries_its_heat_map_and_what_its_test_says(client, trained, png):
    answer = send(client, "/api/cv/predict/md-1", png, explain=True).json()
    assert answer["heatmap_png"]
    assert answer["heatmap"] == {"label": "circle", "score": 0.5, "random": 0.125, "verdict": "evidence"}
    assert "heatmap" not in send(client, "/api/cv/predict/md-1", png).json()


def test_a_heat_map_is_a_png(client, trained, png):
    answer = send(client, "/api/cv/explain/md-1", png, class_name="circle")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert send(client, "/api/cv/explain/md-1", png, class_name="triangle").status_code == 422
    found = {name: answer.headers[f"X-Heatmap-{name}"] for name in ("Evidence", "Score", "Random")}
    assert found == {"Evidence": "evidence", "Score": "0.5000", "Random": "0.1250"}


@pytest.mark.parametrize(
    ("accept", "form", "json"),
    [
        ("*/*", None, False),
        ("image/png", None, False),
        ("image/*, application/json", None, False),
        ("application/json", None, True),
        ("Application/JSON; q=0.9", None, True),
        ("application/json", "png", False),
        ("image/png", "json", True),
    ],
)
def test_a_heat_map_comes_as_json_to_who_asks_for_it(shared_client, shared_model_id, png, accept, form, json):
    params = {"class_name": "square"} | ({"format": form} if form else {})
    answer = shared_client.post(
        "/api/cv/explain/md-1", files={"file": ("a.png", png)}, params=params, headers={"Accept": accept}
    )
    assert answer.headers["content-type"] == ("application/json" if json else "image/png")
    assert answer.headers["vary"] == "Accept"
    if json:
        assert answer.json()["label"] == answer.json()["heatmap"]["label"] == "square"
        assert base64.b64decode(answer.json()["heatmap_png"]).startswith(b"\x89PNG")


def test_another_form_of_a_heat_map_is_refused(shared_client, shared_model_id, png):
    answer = send(shared_client, "/api/cv/explain/md-1", png, format="svg")
    assert answer.status_code == 422
    assert "format" in answer.json()["detail"]


def test_the_plain_prediction_is_the_likeliest_class_and_all_probabilities(client, trained, png):
    answer = send(client, "/predict", png)
    assert answer.json() == {"pred_class": "square", "probs": {"circle": 0.25, "square": 0.75}}


def test_without_a_model_the_next_step_is_said(client, dataset_id, png):
    assert "train/start" in send(client, "/predict", png).json()["detail"]
    answer = send(client, f"/api/cv/predict/{dataset_id}", png)
    assert answer.status_code == 404
    assert "no model yet" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/predict", "/api/cv/predict/md-1", "/api/cv/explain/md-1"])
@pytest.mark.parametrize("image", [b"", b"no image", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "torn"])
def test_what_is_no_picture_is_refused(shared_client, shared_model_id, path, image):
    answer = send(shared_client, path, image)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)


@pytest.mark.parametrize("top_k", ["0", "-1", "x", "9" * 500, "1.5"])
def test_an_impossible_top_k_is_refused(shared_client, shared_model_id, png, top_k):
    answer = send(shared_client, "/api/cv/predict/md-1", png, top_k=top_k)
    assert answer.status_code == 422
    assert "top_k" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/predict", "/api/cv/predict/md-1"])
def test_a_picture_over_the_limit_is_too_large(shared_client, shared_model_id, path):
    assert send(shared_client, path, b"x" * 2 * 1024 * 1024).status_code == 413


def test_a_file_sent_as_text_is_refused(shared_client, shared_model_id):
    answer = shared_client.post("/predict", data={"file": "text"})
    assert answer.status_code == 422
    assert "file" in answer.json()["detail"]


def test_models_are_listed_looked_at_and_promoted(client, services, trained):
    from service_fakes import model_info, results_record

    dataset_id = trained[0]
    services.catalog.publish(
        results_record("job-2", dataset_id=dataset_id, model_id="md-2"),
        model_info("md-2", dataset_id=dataset_id, job_id="job-2"),
    )
    assert [row["model_id"] for row in client.get("/api/cv/models").json()] == ["md-2", "md-1"]
    assert client.post("/api/cv/models/md-1/promote").json()["promoted"]
    assert client.get("/api/cv/models/md-1").json()["promoted"]
    assert client.get("/health").json()["default_model"] == "md-1"


@pytest.mark.parametrize("place", [0, 2], ids=["dataset", "model"])
def test_a_model_is_downloaded_as_an_attachment(client, trained, place):
    answer = client.get(f"/api/cv/models/{trained[place]}/download")
    assert answer.content == b"weights"
    assert 'attachment; filename="resnet18.pth"' in answer.headers["content-disposition"]


def test_an_unknown_format_names_the_allowed_ones(client, trained):
    answer = client.get("/api/cv/models/md-1/download", params={"format": "\x00exe"})
    assert answer.status_code == 422
    assert "pth" in answer.json()["detail"]
