"""The words of page and terminal in English and Korean: texts with places for figures, and the Korean of each."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from bistill import languages
from bistill.languages import Language

NAMES: Final[dict[Language, str]] = {"en": "English", "ko": "한국어"}

FIRST_OF_DRAWINGS: Final = "Scores of positive and negative pairs"
KOREAN: Final = {
    # who judges
    "The teacher {path} is the judge, since no person has judged the {queries} queries: its relevance of what {models} "
    "find is the truth here.": (
        "사람이 판정하지 않은 쿼리 {queries}개라서 교사 모델 {path}이(가) 판정합니다. {models}이(가) 찾은 문서에 교사 "
        "모델이 매긴 관련도를 정답으로 봅니다."
    ),
    # which documents were ranked
    "Ranked among {documents} documents: those of the test file alone.": (
        "테스트 파일의 문서 {documents}개 중에서 순위를 매겼습니다."
    ),
    "Ranked among {documents} documents: all of the data version {path}.": (
        "데이터 버전 {path}의 전체 문서 {documents}개 중에서 순위를 매겼습니다."
    ),
    "Ranked among {documents} documents: those of the test file and of {path}.": (
        "테스트 파일과 {path}의 문서 {documents}개 중에서 순위를 매겼습니다."
    ),
    "Ranked among {documents} documents: those of the test file and the further ones that were given.": (
        "테스트 파일과 추가로 지정한 문서를 합한 {documents}개 중에서 순위를 매겼습니다."
    ),
    # the verdict and what limits it
    "The student ranks better than the base model: {figures}, over {queries} queries.": (
        "학생 모델이 베이스 모델보다 순위를 더 잘 매깁니다: {figures}, 쿼리 {queries}개."
    ),
    "The student ranks worse than the base model: {figures}, over {queries} queries.": (
        "학생 모델이 베이스 모델보다 순위를 못 매깁니다: {figures}, 쿼리 {queries}개."
    ),
    "Student and base model are not told apart: {figures}, which holds 0, over {queries} queries.": (
        "학생 모델과 베이스 모델의 차이가 유의하지 않습니다: {figures}, 구간에 0이 들어갑니다, 쿼리 {queries}개."
    ),
    "The student ranks exactly like its base model: {measure} {student} of both, query by query, "
    "over {queries} queries.": (
        "학생 모델과 베이스 모델의 결과가 모든 쿼리에서 같습니다: 둘 다 {measure} {student}, 쿼리 {queries}개."
    ),
    "Too few queries to tell student and base model apart: {measure} {student} against {base} over {queries}; "
    "at least {fewest} are needed.": (
        "쿼리 {queries}개로는 학생 모델과 베이스 모델의 차이를 알 수 없습니다: {measure} {student}, 베이스 {base}. "
        "쿼리가 {fewest}개 이상 있어야 합니다."
    ),
    "No base model was measured, so there is no verdict: the student has {measure} {student}.": (
        "베이스 모델을 평가하지 않아 비교할 수 없습니다: 학생 모델의 {measure} {student}."
    ),
    "{measure} {student} against {base}, {interval}": "{measure} {student}, 베이스 {base}, {interval}",
    "{difference} ({confidence} interval {low} to {high})": "{difference} ({confidence} 신뢰구간 {low} ~ {high})",
    "BM25 ranks better than the student: {measure} {bm25}, student - bm25 {interval}.": (
        "BM25가 학생 모델보다 순위를 더 잘 매깁니다: {measure} {bm25}, 학생 - BM25 {interval}."
    ),
    "The teacher does not rank better than the base model ({measure}): there is no lead to take a share of.": (
        "교사 모델이 베이스 모델보다 낫지 않습니다({measure}). 따라서 격차를 얼마나 좁혔는지는 구하지 않습니다."
    ),
    "The teacher's lead over the base model is not told apart from 0 ({measure}): no share of it is given.": (
        "교사 모델과 베이스 모델의 격차가 유의하지 않아({measure}) 그 격차를 얼마나 좁혔는지는 구하지 않습니다."
    ),
    "Share of the teacher's lead over the base in {measure} that the student has: {share} ({low} to {high}).": (
        "교사 모델이 베이스 모델을 앞서는 폭({measure}) 가운데 학생 모델이 따라잡은 비율: {share} ({low} ~ {high})."
    ),
    # a test file that was judged in part
    "The test file was judged in part. Judged of the first 10 documents of each query: {shares}. The others count 0 in "
    "nDCG@10, relevant or not: compare condensed nDCG@10 and bpref, which leave them out.": (
        "테스트 파일은 일부만 판정되었습니다. 쿼리마다 상위 문서 10개 가운데 판정된 비율: {shares}. 판정되지 않은 "
        "문서는 관련이 있어도 nDCG@10에서 0점이므로, 그런 문서를 빼고 구한 판정 문서 nDCG@10과 bpref를 비교하십시오."
    ),
    "judged@10": "판정 비율@10",
    "condensed nDCG@10": "판정 문서 nDCG@10",
    # other sentences
    "The student is the base model: on {queries} validation queries the training gained nothing "
    "(nDCG@10 trained {trained}, base model {start}).": (
        "학생 모델은 학습 전 가중치 그대로입니다: 검증 쿼리 {queries}개에서 학습의 효과가 없었습니다"
        "(nDCG@10 학습 후 {trained}, 학습 전 {start})."
    ),
    "Layers of the base model that the student has: {layers}. nDCG@10 {cut} before any training (column cut), "
    "{student} as it is, {base} of the whole base model.": (
        "학생 모델에 남은 베이스 모델의 레이어: {layers}. nDCG@10 학습 전 {cut}(축소 열), 지금 {student}, "
        "베이스 모델 전체 {base}."
    ),
    "The teacher re-ranks the first {depth} documents of the {model}.": (
        "교사 모델은 {model}의 상위 문서 {depth}개를 재순위화합니다."
    ),
    "base model": "베이스 모델",
    "student model": "학생 모델",
    "On {data}, not trained on: nDCG@10 student {student}{beside}.": (
        "학습에 쓰지 않은 {data}: nDCG@10 학생 {student}{beside}."
    ),
    ", base {base}, difference {difference}": ", 베이스 {base}, 차이 {difference}",
    "Before distilling, nDCG@10 on the lists of {queries} validation queries: "
    "teacher {teacher}, base model {student}.": (
        "증류 전 검증 쿼리 {queries}개의 목록에서 nDCG@10: 교사 {teacher}, 학습 전 학생 {student}."
    ),
    "Margin over {kind} {margin}; with shuffled queries {shuffled}.": (
        "{kind} 대비 마진 {margin}, 쿼리를 섞으면 {shuffled}."
    ),
    'The threshold "{name}" against {kind} is useless: it {why}.': (
        '임곗값 "{name}"({kind} 대비)은 쓸모가 없습니다: {why}.'
    ),
    "finds {recall} of the relevant pairs": "관련 쌍의 {recall}만 찾음",
    "lets nearly all pairs count, {precision} of them relevant": "거의 모든 쌍이 통과하고 그중 {precision}만 관련 있음",
    "Cosine of the best F1 against {kind}: {threshold} {interval}, F1 {f1}.": (
        "F1이 가장 높은 코사인({kind} 대비): {threshold} {interval}, F1 {f1}."
    ),
    "Calibrated score, positives and {kind}: expected calibration error {error}, Brier score {brier}.": (
        "보정 점수, 포지티브와 {kind}: 기대 보정 오차(ECE) {error}, Brier 점수 {brier}."
    ),
    "nDCG@10 by the first {size} numbers of each vector: student {student}{beside}.": (
        "벡터의 앞 {size}차원만 쓴 nDCG@10: 학생 {student}{beside}."
    ),
    ", base {base}": ", 베이스 {base}",
    "Of {queries} queries the student ranks the first relevant document higher than the base model in {higher}, "
    "lower in {lower}, at the same rank in {equal}.": (
        "쿼리 {queries}개 가운데 첫 관련 문서의 순위가 베이스 모델보다 오른 것 {higher}개, 내린 것 {lower}개, "
        "같은 것 {equal}개."
    ),
    "One of each by chance:": "무작위로 하나씩:",
    "{kind}: {query} | {document} | rank {before} -> {after}": (
        "{kind}: {query} | {document} | 순위 {before} -> {after}"
    ),
    "higher": "오름",
    "lower": "내림",
    "equal": "같음",
    "below the ranking": "순위 밖",
    "{failed} of {queries} queries have documents above their first relevant one": (
        "쿼리 {queries}개 가운데 {failed}개에서 첫 관련 문서보다 위에 다른 문서가 있습니다"
    ),
    "{sentence} (all queries: {file}). The worst:": "{sentence} (전체 쿼리: {file}). 최하위:",
    "query": "쿼리",
    "rank {rank}": "{rank}위",
    "expected": "정답",
    # titles of tables
    "{queries} queries": "쿼리 {queries}개",
    "{counts}; scores are (cosine + 1) / 2": "{counts}, 점수는 (코사인 + 1) / 2",
    "differences and their {confidence} intervals over queries, paired": (
        "쿼리별로 짝지은 차이와 {confidence} 신뢰구간"
    ),
    "base": "베이스",
    "cut": "축소",
    "bm25": "BM25",
    "teacher": "교사",
    "student": "학생",
    "compared": "비교 대상",
    "student - {role}": "학생 - {role}",
    "mean positive": "포지티브 평균",
    "mean labelled negative": "라벨 네거티브 평균",
    "mean random negative": "무작위 네거티브 평균",
    "margin, labelled": "마진, 라벨",
    "margin, random": "마진, 무작위",
    "ceiling of margin, random": "마진 상한, 무작위",
    "uniformity, labelled": "균일도, 라벨",
    "uniformity, random": "균일도, 무작위",
    "AUC, labelled": "AUC, 라벨",
    "AUC, random": "AUC, 무작위",
    "labelled negatives": "라벨 네거티브",
    "random negatives": "무작위 네거티브",
    "best F1": "F1 최고",
    "lowest with 95 % precision": "정밀도 95%를 만족하는 최저",
    "highest with 95 % recall": "재현율 95%를 만족하는 최고",
    "unbounded": "한계 없음",
    "{low} to {high}": "{low} ~ {high}",
    # the page
    "mean over all queries, 0 to 1; the best of each row in bold": "전체 쿼리 평균(0~1), 행마다 가장 좋은 값은 굵게",
    "Failures": "실패 사례",
    "Below are the worst by nDCG@10, with what stands above. One that is relevant after all is missing from the "
    "labels. All queries are in {file}.": (
        "아래는 nDCG@10이 가장 낮은 쿼리와 그 위에 놓인 문서입니다. 실제로 관련 있는 문서라면 라벨이 빠진 것입니다. "
        "전체 쿼리는 {file}에 있습니다."
    ),
    "{count} more": "{count}개 더 보기",
    "rank of the first relevant document:": "첫 관련 문서의 순위:",
    "none": "없음",
    "not labelled": "라벨 없음",
    "labelled irrelevant": "무관 라벨",
    "relevant": "관련 문서",
    "relevant, not ranked": "관련 문서, 순위 밖",
    "student {student}, teacher {teacher}": "학생 {student}, 교사 {teacher}",
    "student {student}, base {base}, teacher {teacher}": "학생 {student}, 베이스 {base}, 교사 {teacher}",
    "Ranking": "순위",
    "student minus each other model with {confidence} intervals over queries, paired; "
    "an interval that holds 0 shows no difference": (
        "학생 모델과 다른 모델의 차이, 쿼리별로 짝지은 {confidence} 신뢰구간. 0이 들어간 구간은 차이가 유의하지 않음"
    ),
    "Separation": "점수 분리",
    "student, calibrated": "학생, 보정 점수",
    "scores are (cosine + 1) / 2, in the last column the calibrated score; uniformity is the variance of the scores of "
    "positives and negatives together": (
        "점수는 (코사인 + 1) / 2, 마지막 열은 보정 점수. 균일도는 포지티브와 네거티브 점수 전체의 분산"
    ),
    "Shuffled queries": "쿼리를 섞었을 때",
    "What is left of margin and AUC when each document is asked by a query that is not its own was reached without "
    "reading the query. A margin of 0 and an AUC of 0.5 are best.": (
        "문서마다 다른 쿼리를 짝지어도 남는 마진과 AUC는 쿼리를 읽지 않고 얻은 것입니다. "
        "마진 0, AUC 0.5가 가장 좋습니다."
    ),
    "margin": "마진",
    "margin, shuffled": "마진, 섞은 쿼리",
    "AUC, shuffled": "AUC, 섞은 쿼리",
    "Thresholds": "임곗값",
    "cosine": "코사인",
    "interval": "신뢰구간",
    "calibrated": "보정 점수",
    "precision": "정밀도",
    "recall": "재현율",
    "useless:": "쓸모없음:",
    "from which score a pair counts as relevant; precision depends on how many of the pairs are relevant": (
        "이 점수부터 관련 있다고 봄. 정밀도는 쌍 가운데 관련 있는 것의 비율에 따라 달라짐"
    ),
    "Calibration": "보정",
    "calibrated score": "보정 점수",
    "positives and {kind}: calibration error {error}, Brier score {brier}": (
        "포지티브와 {kind}: 보정 오차 {error}, Brier 점수 {brier}"
    ),
    "mean": "평균",
    "share relevant": "관련 비율",
    "pairs": "쌍",
    "Forgetting": "망각",
    "not trained on": "학습에 쓰지 않은 데이터",
    "queries": "쿼리",
    "Sample pairs": "예시 쌍",
    "worst queries by margin": "마진이 가장 낮은 쿼리",
    "best queries by margin": "마진이 가장 높은 쿼리",
    "best positive": "점수가 가장 높은 포지티브",
    "hardest negative, labelled": "점수가 가장 높은 네거티브, 라벨",
    "hardest negative, random": "점수가 가장 높은 네거티브, 무작위",
    "What was measured": "평가 대상과 설정",
    # drawings
    "Scores of positive and negative pairs": "포지티브와 네거티브 쌍의 점수",
    "score = (cosine + 1) / 2": "점수 = (코사인 + 1) / 2",
    "share of pairs": "쌍의 비율",
    "{role}: {kind} ({count})": "{role}: {kind} ({count})",
    "positive": "포지티브",
    "labelled negative": "라벨 네거티브",
    "random negative": "무작위 네거티브",
    "Student: margin of each query": "학생: 쿼리별 마진",
    "{kind}: {queries} queries, mean {mean}": "{kind}: 쿼리 {queries}개, 평균 {mean}",
    "ceiling of the mean, random negatives: {ceiling}": "평균의 상한, 무작위 네거티브: {ceiling}",
    "mean positive score - mean negative score of a query": "쿼리별 포지티브 평균 - 네거티브 평균",
    "share of queries": "쿼리의 비율",
    "Ranking over {documents} documents": "문서 {documents}개의 순위",
    "(teacher: first {depth} of {role} re-ranked)": "(교사: {role} 상위 {depth}개 재순위화)",
    "Separation on the linear score": "선형 점수의 분리",
    "Student: thresholds over {kind}": "학생: 임곗값, {kind}",
    "{name}: {threshold}, F1 {f1}, useless": "{name}: {threshold}, F1 {f1}, 쓸모없음",
    "{name}: {threshold}, F1 {f1}": "{name}: {threshold}, F1 {f1}",
    "cosine from which a pair counts as relevant": "관련 있다고 보는 최저 코사인",
    "precision, recall": "정밀도, 재현율",
    "Student: reliability of the calibrated score": "학생: 보정 점수의 신뢰도",
    "mean calibrated score of a bin": "구간의 평균 보정 점수",
    "share of relevant pairs": "관련 쌍의 비율",
    "positives and {kind}:": "포지티브와 {kind}:",
    "calibration error {error}, Brier {brier}": "보정 오차 {error}, Brier {brier}",
}


def said(language: Language, text: str, **values: object) -> str:
    """A text in a language with its figures in place; a text without Korean, such as "nDCG@10", stays as it is."""
    return languages.said(KOREAN, text, language, values)


def of_drawing(text: str) -> str:
    """The Korean of a text that a drawing shows, its figures in place already; the text itself where there is none."""
    if text in KOREAN:
        return KOREAN[text]
    for template, pattern in _patterns():
        if found := pattern.fullmatch(text):
            values = {name: KOREAN.get(value, value) for name, value in found.groupdict().items()}
            return KOREAN[template].format(**values)
    return text


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Texts with places for figures, in the order of ``KOREAN``, each as a pattern of what stands there."""
    return [
        (text, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text))))
        for text in list(KOREAN)[list(KOREAN).index(FIRST_OF_DRAWINGS) :]
        if "{" in text
    ]
