"""Believable answers of the service, in api.md's shapes, and drawings for its pictures. No state, no HTTP."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from PIL import Image, ImageDraw
from stand_in_honesty import HONEST

CLASSES = {"circle": 60, "square": 54, "triangle": 46}
COLOURS = {"circle": "#0072B2", "square": "#E69F00", "triangle": "#009E73"}
IMAGES_A_CLASS = 8


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def candidates_at(progress: float) -> list[dict[str, Any]]:
    """Three networks, one after the other: a fine-tune, a probe, and one that is skipped."""
    first = min(1.0, progress * 2)
    epochs = round(5 * first)
    second = max(0.0, min(1.0, progress * 2 - 1))
    return [
        {
            "name": "efficientnet_lite0",
            "state": "succeeded" if first == 1 else ("running" if first else "queued"),
            "stage": "fine-tuning" if 0 < first < 1 else "",
            "epoch": epochs,
            "epochs": 5,
            "score": round(0.70 + 0.05 * epochs, 3) if epochs else None,
            "tried": "learning rate 3e-4, 5 epochs" if first else None,
            "seconds": 12.4 * first,
        },
        {
            "name": "resnet18",
            "state": "succeeded" if second == 1 else ("running" if second else "queued"),
            "stage": "features" if 0 < second < 1 else "",
            "epoch": 0,
            "epochs": 0,
            "score": 0.71 if second == 1 else None,
        },
        {
            "name": "vit_base",
            "state": "skipped" if progress > 0.5 else "queued",
            "stage": "",
            "epoch": 0,
            "epochs": 0,
            "score": None,
            "reason": "The time budget was used up." if progress > 0.5 else None,
        },
    ]


def spread(low: float, high: float) -> dict[str, Any]:
    edges = [low + (high - low) * step / 8 for step in range(9)]
    middle = (low + high) / 2
    counts = [2, 6, 15, 30, 42, 35, 20, 10]
    return {
        "min": low,
        "max": high,
        "mean": middle,
        "median": middle,
        "histogram": {"edges": edges, "counts": counts},
    }


def insights_of(dataset: dict[str, Any]) -> dict[str, Any]:
    """A checked dataset with two blurred images, a contradiction and a damaged file."""
    counts = dataset["class_counts"]
    first = min(counts)
    issues: dict[str, Any] = {
        "corrupt": [{"file": "set/circle/broken.jpg", "reason": "The image is damaged"}],
        "conflicting_labels": [f"{first}-0", f"{max(counts)}-1"],
        "blurry": [f"{first}-2", f"{first}-3"],
        "small_classes": [first],
    }
    words = {"corrupt": "Mend them.", "conflicting_labels": "Give all copies the right label.", "blurry": "Look."}
    words["small_classes"] = "Add images."
    return {
        "dataset_id": dataset["dataset_id"],
        "version": dataset["version"],
        "total_images": dataset["total_images"],
        "num_classes": dataset["num_classes"],
        "class_counts": counts,
        "imbalance_ratio": max(counts.values()) / min(counts.values()),
        "dimensions": {"width": spread(80, 640), "height": spread(60, 480), "aspect_ratio": spread(0.75, 2.0)},
        "sizes": [{"width": 320, "height": 240, "images": 120}, {"width": 640, "height": 480, "images": 40}],
        "light": {"brightness": spread(0, 1), "contrast": spread(0, 0.5), "sharpness": spread(0, 4000)},
        "formats": {"JPEG": 150, "PNG": 10},
        "modes": {"RGB": 160},
        "quality": "checked",
        "issues": issues,
        "notes": [
            {"kind": kind, "images": len(issues[kind]), "groups": 0, "advice": advice, "listed": len(issues[kind])}
            for kind, advice in words.items()
        ],
    }


def results_of(job: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    labels = sorted(dataset["class_counts"])
    matrix = [[0] * len(labels) for _ in labels]
    for place in range(len(labels)):
        matrix[place][place] = 10
    if len(labels) > 2:
        matrix[1] = [1, 8, 2, *[0] * (len(labels) - 3)]
    total = sum(map(sum, matrix))
    right = sum(matrix[i][i] for i in range(len(labels)))
    accuracy = right / total
    per_class = []
    for place, label in enumerate(labels):
        support, answered = sum(matrix[place]), sum(row[place] for row in matrix)
        recall, precision = matrix[place][place] / support, matrix[place][place] / answered
        f1 = 2 * recall * precision / (recall + precision)
        per_class.append({"label": label, "precision": precision, "recall": recall, "f1": f1, "support": support})
    macro_f1 = sum(score["f1"] for score in per_class) / len(per_class)
    return {
        "job_id": job["job_id"],
        "dataset_id": dataset["dataset_id"],
        "model_id": f"model-{job['job_id'][4:]}",
        "best_model": {
            "name": "efficientnet_lite0",
            "timm_name": "tf_efficientnet_lite0",
            "strategy": "finetune",
            "weights": "imagenet",
            "weights_source": "bundled",
            "accuracy": accuracy,
            "macro_f1": macro_f1,
            "val_accuracy": 0.953,
            "input_size": 224,
        },
        "leaderboard": [
            row(
                1,
                "efficientnet_lite0",
                "finetune",
                accuracy,
                [0.77, 0.97],
                tried="learning rate 3e-4, 5 epochs",
                reason="Stopped early: no better for 5 epochs.",
            ),
            row(
                2,
                "efficientnet_lite1",
                "probe",
                accuracy - 0.032,
                [0.73, 0.95],
                tie=True,
                tried="features of 3 depths",
                train_images=64,
            ),
            row(3, "resnet18", "probe", 0.62, [0.44, 0.77], weights="scratch", weights_source=None, tried="features"),
            row(
                4,
                "baseline",
                "baseline",
                0.375,
                [0.23, 0.55],
                weights=None,
                weights_source=None,
                parameters=None,
                size_mb=None,
                train_seconds=None,
                predict_ms_per_image=None,
                reason=None,
            ),
            row(
                None,
                "vit_base",
                "finetune",
                None,
                None,
                status="skipped",
                reason="The time budget was used up.",
                train_images=None,
                weights="scratch",
                weights_source=None,
                macro_f1=None,
                val_accuracy=None,
                train_seconds=None,
                predict_ms_per_image=None,
                size_mb=None,
            ),
        ],
        "test": {
            "accuracy": accuracy,
            "accuracy_ci95": [0.7718, 0.9684],
            "macro_f1": macro_f1,
            "log_loss": 0.31,
            "expected_calibration_error": 0.05,
        },
        "confusion_matrix": {"labels": labels, "matrix": matrix},
        "per_class": per_class,
        "history": {
            "efficientnet_lite0": [
                {"epoch": e, "train_loss": 1.1 / e, "val_loss": 1.2 / e + 0.05, "val_accuracy": 0.70 + 0.05 * e}
                for e in range(1, 6)
            ],
            "resnet18": [],
        },
        "split": {"train": 102, "val": 26, "test": total, "seed": 42, "strategy": "stratified"},
        "preprocessing": {
            "height": 224,
            "width": 224,
            "resize": "squash",
            "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "reason": "All images are square (aspect ratio 1.00), so nothing is distorted.",
            "smallest_defect_px": 12,
        },
        "class_names": labels,
        "recipe": {"dataset_id": dataset["dataset_id"], "num_epochs": 2, "strategy": "auto", "preset": "fast"},
        "environment": {"device": "cpu"},
        "notes": ["resnet18 and vit_base had no ImageNet weights here, so they started from scratch."],
        "tracking": {"status": "ok", "uri": "sqlite:///mlflow.db", "run_id": "0f3a"},
        **FINDINGS,
        "total_seconds": 42.0,
    }


FINDINGS: dict[str, Any] = {
    "suspect_labels": [
        {"image_id": f"circle-{at}", "file": f"circle/{at}.png", "label": "circle", "suggested": "square"}
        | {"confidence": 0.99 - 0.01 * at}
        for at in range(15)
    ],
    "learning_curve": [
        {"train_images": images, "accuracy": score, "accuracy_ci95": [score - 0.08, score + 0.06], "macro_f1": score}
        for images, score in [(32, 0.71), (64, 0.82), (96, 0.86), (128, 0.88)]
    ],
    "learning_curve_advice": "More pictures would probably help.",
    "calibration": {
        "temperature": 1.4,
        "images": 128,
        "log_loss_before": 0.42,
        "log_loss_after": 0.36,
        "ece_before": 0.084,
        "ece_after": 0.021,
    },
    "imbalance": {"ratio": 1.3, "balanced": False, "ranked_by": "accuracy", "automatic": True},
}


def answers_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    """As many images in each cell as the confusion matrix counts, the most confident first."""
    matrix = results["confusion_matrix"]
    return [
        {
            "image_id": f"{truth}-{number}",
            "url": f"/api/cv/datasets/{results['dataset_id']}/images/{truth}-{number}?size=96",
            "label": truth,
            "predicted": predicted,
            "confidence": round(0.98 - 0.03 * number, 3),
        }
        for truth, counts in zip(matrix["labels"], matrix["matrix"], strict=True)
        for predicted, count in zip(matrix["labels"], counts, strict=True)
        for number in range(count)
    ]


def row(rank: int | None, name: str, strategy: str, accuracy: float | None, ci: Any, **fields: Any) -> dict[str, Any]:
    return {
        "rank": rank,
        "name": name,
        "weights": "imagenet",
        "weights_source": "bundled",
        "strategy": strategy,
        "status": "ok",
        "reason": None,
        "tried": None,
        "train_images": 102,
        "tie": False,
        "accuracy": accuracy,
        "accuracy_ci95": ci,
        "macro_f1": accuracy,
        "val_accuracy": accuracy,
        "train_seconds": 12.4,
        "predict_ms_per_image": 18.3,
        "parameters": 4_652_008,
        "size_mb": 13.5,
    } | fields


def model_of(job: dict[str, Any], dataset: dict[str, Any], *, promoted: bool) -> dict[str, Any]:
    results = results_of(job, dataset)
    return {
        "model_id": results["model_id"],
        "dataset_id": dataset["dataset_id"],
        "job_id": job["job_id"],
        "name": results["best_model"]["name"],
        "accuracy": results["best_model"]["accuracy"],
        "class_names": results["class_names"],
        "created_at": job["ended_at"] or now(),
        "promoted": promoted,
        "dataset_version": 1,
        "macro_f1": results["best_model"]["macro_f1"],
        "metrics": {"test": results["test"], **HONEST},
        "size_mb": 9.8,
        "state": "promoted" if promoted else "candidate",
        "promoted_at": now() if promoted else None,
        "promoted_by": "ada" if promoted else None,
        "archived_at": None,
    }


def drawing(label: str, number: int, *, side: int) -> bytes:
    """A shape in its class's colour; unknown labels are circles."""
    image = Image.new("RGB", (side, side), (244, 242, 238))
    draw, low, high = ImageDraw.Draw(image), side * (0.1 + 0.03 * (number % 5)), side * (0.9 - 0.02 * (number % 7))
    colour = COLOURS.get(label, "#CC79A7")
    if label == "square":
        draw.rectangle((low, low, high, high), fill=colour)
    elif label == "triangle":
        draw.polygon([((low + high) / 2, low), (high, high), (low, high)], fill=colour)
    else:
        draw.ellipse((low, low, high, high), fill=colour)
    return png(image)


def heat(image: bytes) -> bytes:
    """The picture with a warm patch in its middle."""
    opened = Image.open(io.BytesIO(image)).convert("RGB")
    glow = Image.radial_gradient("L").resize(opened.size)
    return png(Image.composite(opened, Image.new("RGB", opened.size, "#d7301f"), glow))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def preset(name: str, time_budget_s: float, **depth: Any) -> dict[str, Any]:
    shallow = {"refined": 0, "epochs": 0, "tuning_trials": 0, "mixing": False, "ensemble": False}
    words = {"name": name, "title": name.capitalize(), "description": f"What {name} does."}
    return words | {"time_budget_s": time_budget_s} | shallow | depth


SPLIT = {"data.split": "stratified_70_15_15"}
OWN = {"strategy": "finetune", "num_epochs": 20, "augmentations": ["horizontal_flip", "rotation"], "overrides": SPLIT}
OPTIONS = {
    "augmentations": [
        {"name": "horizontal_flip", "description": "Mirror half of the images.", "default": True},
        {"name": "rotation", "description": "Turn by up to 15 degrees.", "default": False},
        {"name": "solarize_new", "description": "An entry that the texts do not know yet.", "default": False},
    ],
    "presets": [
        preset("fast", 600),
        preset("balanced", 1800, refined=1, epochs=6),
        preset("best", 7200, refined=3, epochs=12, tuning_trials=8, mixing=True, ensemble=True),
        preset("defects", 7200, refined=1, epochs=20, recipe=OWN, models=["efficientnet_lite0_cbam"]),
    ],
    "override_keys": [
        {"name": "finetune.head_lr", "description": "Peak learning rate of the head.", "default": 0.01},
        {"name": "refine.folds", "description": "Folds that judge a refinement.", "default": 3},
        {"name": "probe.folds", "description": "Folds of the cross-validation.", "default": 5},
    ],
    "limits": {"max_upload_mb": 2048, "max_image_pixels": 100_000_000},
    "import_roots": ["/srv/pictures"],
    "recipe_schema": {
        "properties": {
            "num_epochs": {"type": "integer", "default": 2, "minimum": 1, "maximum": 1000, "description": "Passes."},
            "batch_size": {"type": "integer", "default": 16, "minimum": 1, "maximum": 1024, "description": "Images."},
            "test_size": {"type": "number", "default": 0.2, "minimum": 0.05, "maximum": 0.5, "description": "Share."},
            "seed": {"type": "integer", "default": 42, "minimum": 0, "maximum": 4294967295, "description": "Seed."},
            "models": {"description": "Networks."},
            "classes": {"description": "Classes."},
            "augmentations": {"description": "Changes."},
            "time_budget_s": {"description": "Seconds."},
            "class_balance": {"enum": ["auto", "balanced", "plain"], "default": "auto", "description": "Balance."},
            "rank_by": {"enum": ["auto", "accuracy", "macro_f1"], "default": "auto", "description": "Score."},
            "ensemble": {"description": "Several together."},
            "overrides": {"description": "Expert settings."},
        }
    },
}

CANDIDATES = [
    {
        "name": name,
        "family": name.partition("_")[0],
        "timm_name": name,
        "parameters": parameters,
        "input_size": 224,
        "weights": "imagenet" if bundled else "scratch",
        "weights_source": "bundled" if bundled else None,
        "default": default,
        "description": "",
    }
    for name, parameters, bundled, default in [
        ("mobilenetv3_large", 5_483_032, False, True),
        ("resnet18", 11_689_512, False, True),
        ("vit_base", 86_567_656, False, False),
        ("efficientnet_lite0", 4_652_008, True, True),
    ]
]
