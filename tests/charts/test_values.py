"""Every value is commented, in the schema, and in the table of docs/kubernetes.md."""

import json
from typing import Any

import pytest
import yaml

from . import values_table
from .cases import CHART, ROOT

DOCUMENT = ROOT / "docs" / "kubernetes.md"
SUBCHARTS = {
    item.get("alias", item["name"]) for item in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The chart's schema."""
    return json.loads((CHART / "values.schema.json").read_text())


def test_every_value_has_a_comment_above_it() -> None:
    assert not [row.path for row in values_table.rows() if not row.meaning]


def test_the_table_in_the_docs_is_the_one_made_from_the_values() -> None:
    text = DOCUMENT.read_text()
    table = text.split(values_table.BEGIN)[1].split(values_table.END)[0].strip()
    assert table == values_table.table(), "python tests/charts/values_table.py writes it anew"


def test_the_schema_knows_each_value_and_no_other(schema: dict[str, Any]) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) == {*values, "global"}
    for key in set(values) - SUBCHARTS:
        _compare(key, values[key], schema["properties"][key])


def _compare(path: str, value: Any, node: dict[str, Any]) -> None:
    if not isinstance(value, dict) or "properties" not in node or path.endswith("esources"):
        return
    assert node["additionalProperties"] is False, path
    assert set(node["properties"]) == set(value), path
    for key, child in value.items():
        _compare(f"{path}.{key}", child, node["properties"][key])


def test_settings_take_every_setting_that_is_no_secret(schema: dict[str, Any]) -> None:
    from movie_pipeline.settings import Settings

    plain = {name.upper() for name, field in Settings.model_fields.items() if "Secret" not in str(field.annotation)}
    assert set(schema["properties"]["settings"]["propertyNames"]["enum"]) == plain
