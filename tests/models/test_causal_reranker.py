"""The relevance of a language model's "yes" equals the recipe of the Qwen3-Reranker model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.errors import ModelError, OptionError
from bistill.models import causal_reranker
from bistill.models.causal_reranker import CausalReranker

CARD_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
CARD_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
CARD_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PAIRS = [
    ("how to read a file", "open the file and read it"),
    ("서울 날씨", "부산 음식 역사 과학"),
    ("sort", "list set map tree graph query key value fast slow " * 5),
    ("json", ""),
    ("yes", "no {query} {document}"),
]


def by_the_card(folder: Path, pairs: list[tuple[str, str]], max_len: int, instruction: str) -> torch.Tensor:
    """Log-odds of "yes" as the card computes them: padded on the left, softmax over two of all the logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prefix, suffix = (tokenizer.encode(text, add_special_tokens=False) for text in (CARD_PREFIX, CARD_SUFFIX))
    texts = [f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}" for query, document in pairs]
    room = max_len - len(prefix) - len(suffix)
    bodies = tokenizer(texts, truncation="longest_first", max_length=room, return_attention_mask=False)["input_ids"]
    batch = tokenizer.pad({"input_ids": [prefix + body + suffix for body in bodies]}, return_tensors="pt")
    with torch.no_grad():
        last = model(**batch).logits[:, -1, :].double()
    answers = last[:, [tokenizer.convert_tokens_to_ids(word) for word in ("no", "yes")]]
    return torch.logit(answers.log_softmax(dim=1).exp()[:, 1])


def changed(folder: Path, name: str, **changes: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def prompts_seen(reranker: CausalReranker, pairs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that the model is given, in no order."""
    seen: list[str] = []

    def forward(encodings: list[dict[str, list[int]]]) -> torch.Tensor:
        seen.extend(reranker.tokenizer.decode(encoding["input_ids"]) for encoding in encodings)
        assert max(len(encoding["input_ids"]) for encoding in encodings) <= reranker.max_len
        return torch.zeros(len(encodings))

    monkeypatch.setattr(reranker, "forward", forward)
    reranker.logits(pairs)
    return seen


@pytest.mark.parametrize("max_len", [1024, 420])
@pytest.mark.parametrize("instruction", [None, "Find the {query} of a 함수"])
def test_logits_equal_the_model_card(tiny_causal_reranker: Path, max_len: int, instruction: str | None) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker), max_len=max_len, instruction=instruction)
    expected = by_the_card(tiny_causal_reranker, PAIRS, max_len, instruction or CARD_INSTRUCTION)
    assert expected.std() > 0.1  # the pairs differ by far more than the tolerance
    np.testing.assert_allclose(reranker.score(PAIRS), expected, atol=1e-5)
    np.testing.assert_allclose(reranker.logits(PAIRS).detach(), expected, atol=1e-5)


def test_scores_do_not_depend_on_order_or_batch(tiny_causal_reranker: Path) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker))
    scores = reranker.score(PAIRS, batch_size=1)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(reranker.score(PAIRS[::-1], batch_size=3)[::-1], scores, atol=1e-5)
    np.testing.assert_allclose(reranker.score(PAIRS * 3, batch_size=15), np.tile(scores, 3), atol=1e-5)
    assert reranker.score([]).shape == (0,)


def test_an_untied_head_with_a_bias_counts_whole(tiny_causal_reranker: Path) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker))
    before = reranker.score(PAIRS)
    yes, no = (reranker.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    head = torch.nn.Linear(32, reranker.model.config.vocab_size)
    head.weight = reranker.model.get_output_embeddings().weight
    reranker.model.set_output_embeddings(head)
    difference = (head.bias[yes] - head.bias[no]).item()
    np.testing.assert_allclose(reranker.score(PAIRS), before + difference, atol=1e-5)


def test_a_long_document_is_cut_and_the_prompt_stays(
    tiny_causal_reranker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker), max_len=420)
    pairs = [("sort", "0123456789" * 100), ("q" * 1000, "never read")]
    head = f"{CARD_PREFIX}<Instruct>: {CARD_INSTRUCTION}\n<Query>: "
    for text in prompts_seen(reranker, pairs, monkeypatch):
        assert text.startswith(head)
        assert text.endswith(CARD_SUFFIX)
        assert len(reranker.tokenizer(text, add_special_tokens=False)["input_ids"]) == 420
        body = text[len(head) : -len(CARD_SUFFIX)]
        assert pairs[0][1].startswith(body.removeprefix("sort\n<Document>: ")) or set(body) == {"q"}


def test_the_prompt_is_the_cards(tiny_causal_reranker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker))
    assert reranker.prompt == (
        f"{CARD_PREFIX}<Instruct>: {CARD_INSTRUCTION}\n<Query>: {{query}}\n<Document>: {{document}}{CARD_SUFFIX}"
    )
    assert causal_reranker.prompt("한글") == reranker.prompt.replace(CARD_INSTRUCTION, "한글")
    assert prompts_seen(reranker, [("a", "b")], monkeypatch) == [
        reranker.prompt.replace("{query}", "a").replace("{document}", "b")
    ]


def test_gradients_reach_the_model(tiny_causal_reranker: Path) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker))
    reranker.logits(PAIRS).sum().backward()
    assert all(parameter.grad is not None for parameter in reranker.model.parameters())


def test_the_head_computes_in_float32_under_bf16(tiny_causal_reranker: Path) -> None:
    scores = torch.tensor(CausalReranker.load(str(tiny_causal_reranker), precision="bf16").score(PAIRS))
    assert (scores != scores.bfloat16().float()).all()
    exact = CausalReranker.load(str(tiny_causal_reranker), precision="fp32").score(PAIRS)
    assert np.abs(exact - scores.numpy()).max() < 0.2 * np.abs(exact).max()


@pytest.mark.parametrize("token", ["yes", "no", "<|im_start|>"])
def test_a_tokenizer_without_the_tokens_is_refused(tiny_causal_reranker: Path, tmp_path: Path, token: str) -> None:
    folder = shutil.copytree(tiny_causal_reranker, tmp_path / "model")
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    if token in data["model"]["vocab"]:
        data["model"]["vocab"]["xyz"] = data["model"]["vocab"].pop(token)
        data["model"]["merges"] = []
    else:
        next(added for added in data["added_tokens"] if added["content"] == token)["content"] = "<|other|>"
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=rf"model: the tokenizer has no single token '{token}'".replace("|", r"\|")):
        CausalReranker.load(str(folder))


def test_the_end_of_text_stands_in_for_a_missing_padding_token(tiny_causal_reranker: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_causal_reranker, tmp_path / "model")
    changed(folder, "tokenizer_config.json", pad_token=None)
    reranker = CausalReranker.load(str(folder))
    assert reranker.tokenizer.pad_token == "<|im_end|>"
    expected = CausalReranker.load(str(tiny_causal_reranker)).score(PAIRS)
    np.testing.assert_allclose(reranker.score(PAIRS), expected, atol=1e-6)
    changed(folder, "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="the tokenizer has no padding token"):
        CausalReranker.load(str(folder))


def test_no_room_for_the_texts_is_an_error(tiny_causal_reranker: Path) -> None:
    reranker = CausalReranker.load(str(tiny_causal_reranker))
    empty = reranker.prompt.replace("{query}", "").replace("{document}", "")
    tokens = len(reranker.tokenizer(empty, add_special_tokens=False)["input_ids"])
    with pytest.raises(OptionError, match=f"`TeacherReading.max_len`: the prompt alone has {tokens} tokens"):
        CausalReranker.load(str(tiny_causal_reranker), max_len=tokens)
    assert CausalReranker.load(str(tiny_causal_reranker), max_len=tokens + 1).score(PAIRS).shape == (5,)


def test_missing_weights_are_named(tiny_causal_reranker: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_causal_reranker, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if name != "model.norm.weight"}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are missing from the model\n  found: \['model.norm.weight'\]"):
        CausalReranker.load(str(folder))
