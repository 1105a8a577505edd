"""The service that one writes in an afternoon: FastAPI, torch in float32, one request, one forward pass.

The same weights, preprocessing and answer as ours; the model is loaded once, all threads are torch's.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from backend.inference.exporters import standalone

app = FastAPI()


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, object]:
    model: standalone.Model = app.state.model
    image = Image.open(io.BytesIO(await file.read())).convert("RGB")
    with torch.inference_mode():
        answers = model.predict(image, len(model.class_names))
    return {"pred_class": answers[0][0], "probs": dict(answers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a model's folder")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    app.state.model = standalone.load(chosen.model / "model.pth")
    uvicorn.run(app, port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
