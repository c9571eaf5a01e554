"""What a browser sees: the service's page, and the OpenAPI document that it draws. Pure.

BentoML's page loads Google's tag manager, and its document bears the name of our class, the address of
BentoML's makers and a text about BentoML. So both are ours; Swagger UI is served from BentoML's own files,
without its `index.css`, which hides the title.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from mainline.schema import FeatureTable

# Nothing is asked of anybody else, by this page or by what a model's name could hold.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="icon" href="data:,">
<style>body {{ margin: 0 }} .topbar, .scheme-container {{ display: none }}</style>
</head>
<body>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js" charset="utf-8"></script>
<script src="./static_content/swagger-ui-standalone-preset.js" charset="utf-8"></script>
<script src="./static_content/swagger-initializer.js" charset="utf-8"></script>
</body>
</html>
"""
PROVENANCE = {
    "get": {
        "tags": ["Infrastructure"],
        "description": "Which data, code and commit made the model that answers, with every digest.",
        "responses": {"200": {"description": "Successful Response"}},
    }
}
TAGS = [
    {"name": "Service APIs", "description": "predictions"},
    {"name": "Infrastructure", "description": "for the platform: health, metrics, provenance"},
]


def page(name: str, version: str) -> str:
    """Swagger UI over `docs.json`."""
    return PAGE.format(title=escape(f"{name} {version}"))


def document(spec: dict[str, Any], table: FeatureTable, name: str, version: str) -> dict[str, Any]:
    """BentoML's OpenAPI document with what this service is, and `/provenance`."""
    renamed: dict[str, Any] = json.loads(json.dumps(spec).replace("IODescriptor", ""))
    target = table.target
    unit = f" [{target.unit}]" if target.unit else ""
    info = {
        "title": name,
        "version": version,
        "description": f"Predicts `{target.name}`{unit}: {target.description}. One row or many.",
    }
    return {**renamed, "info": info, "tags": TAGS, "paths": {**renamed["paths"], "/provenance": PROVENANCE}}
