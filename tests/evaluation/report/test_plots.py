"""The picture: its size, its fonts, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bistill import artifacts
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.evaluation.report import fonts, plots


def ink(text: str) -> np.ndarray:
    with matplotlib.rc_context({"font.family": list(fonts.families())}):
        figure = Figure(figsize=(2, 1))
        canvas = FigureCanvasAgg(figure)
        figure.text(0.1, 0.5, text, fontsize=20)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0]


def test_hangul_has_glyphs_of_its_own() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = ink("가나"), ink("뷁힣")
    assert (first < 128).sum() > 50
    assert not np.array_equal(first, second)  # missing glyphs would be the same box


def test_what_no_font_has_becomes_a_square() -> None:
    assert fonts.drawable("한글 Ä\n\tx \U0001f9ec \U00012000") == "한글 Ä x □ □"


def test_the_korean_font_is_found_without_importing_its_package() -> None:
    code = (
        "import sys, matplotlib; before = dict(matplotlib.rcParams); from bistill.evaluation.report import fonts\n"
        "assert fonts.families() == ('DejaVu Sans', 'NanumGothic'), fonts.families()\n"
        "assert 'koreanize_matplotlib' not in sys.modules; assert dict(matplotlib.rcParams) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_picture_of_korean_and_of_formula_like_text(
    tmp_path: Path, tiny_encoder: Path, other_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "한글 $x$.csv"
    lines = [
        f"서울 {word} 날씨는?,{word} 음식은 $\\frac{{{number}}}$ 역사,{number} 과학"
        for number, word in enumerate("가나다라")
    ]
    data.write_text("\n".join(["query,positive,negative", *lines]), encoding="utf-8")
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Gg]lyph.*")
        warnings.filterwarnings("error", message=".*font.*")
        evaluate(
            EvaluationOptions(
                model_path=str(tiny_encoder),
                base_model=str(other_encoder),
                test_data=str(data),
                output_dir=str(tmp_path / "out"),
            )
        )
    assert dict(matplotlib.rcParams) == before
    pixels = matplotlib.image.imread(tmp_path / "out" / artifacts.EVALUATION_PNG)
    assert pixels.shape[:2] == (1600, 1600)


def test_a_line_is_cut_to_its_width() -> None:
    with matplotlib.rc_context({"font.family": list(fonts.families())}):
        figure = Figure(figsize=plots.INCHES, dpi=plots.DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        for text in ("서울 지하철 " * 40, "W" * 200, "i" * 500):
            plots.fit_text(axes, 0.0, 0.5, text, 0.3)
            drawn = axes.texts[-1]
            allowed = 0.3 * axes.get_window_extent().width
            width = drawn.get_window_extent().width
            assert drawn.get_text().endswith("…")
            assert 0.9 * allowed < width <= allowed
        plots.fit_text(axes, 0.0, 0.5, "short", 0.3)
        assert axes.texts[-1].get_text() == "short"
