"""Words of the screen: English, or Korean where the terminal's locale is Korean.

Lines without a terminal (a single look, a pipe, a log) stay English whatever the locale is: programs read them.
"""

from __future__ import annotations

from typing import Final

from bistill import languages
from bistill.languages import Language

KOREAN: Final = {
    # stages and states
    "run": "실행",
    "teacher": "교사 모델 학습",
    "distillation": "증류",
    "starting": "시작하는 중",
    "running": "학습 중",
    "saving": "저장 중",
    "evaluating": "평가 중",
    "stalled": "응답 없음",
    "paused": "일시 정지",
    "recovering": "복구 중",
    "diverged": "발산",
    "crashed": "비정상 종료",
    "failed": "실패",
    "stopped": "중단됨",
    "finished": "완료",
    "out of memory, {state}": "메모리 부족, {state}",
    # the head of a run
    "epoch {number}": "에폭 {number}",
    "process {pid}, started {time}": "프로세스 {pid}, {time} 시작",
    "reading the journal, {share}": "기록을 읽는 중, {share}",
    "no update yet": "아직 업데이트가 없음",
    "step {step}/{total}": "{step}/{total}스텝",
    "{time} left": "{time} 남음",
    "error": "오류",
    "given up": "복구 포기",
    "do": "할 일",
    # its sections
    "training": "학습",
    "validation": "검증",
    "scores": "점수 분포",
    "events": "기록",
    "other runs": "다른 실행",
    "lr": "학습률",
    "tokens/s": "초당 토큰",
    "gradient norm": "그래디언트 노름",
    "s/step": "스텝당 초",
    "process memory": "프로세스 메모리",
    "memory": "메모리",
    "GPU memory": "GPU 메모리",
    "token budget": "토큰 한도",
    "teacher scores known": "캐시에 있던 교사 점수",
    "best weights": "최고 가중치",
    "checkpoint": "체크포인트",
    "step {step}": "{step}스텝",
    "best {figure}": "최고 {figure}",
    "positive": "포지티브",
    "labelled negative": "라벨 네거티브",
    "mined negative": "BM25 네거티브",
    "random negative": "무작위 네거티브",
    "({pairs} pairs)": "({pairs}쌍)",
    # keys, and nothing to show
    "quit": "끝내기",
    "next run": "다음 실행",
    "no run below {folder} yet": "{folder} 아래에 아직 실행이 없음",
}

_language: Language = "en"


def speak(language: Language) -> None:
    """Use a language from now on, in this process."""
    global _language
    _language = language


def language() -> Language:
    """The language in use; English before ``speak``."""
    return _language


def say(english: str, **values: object) -> str:
    """A text in the language in use; names in braces stand for values."""
    return said(english, _language, **values)


def said(english: str, in_language: Language, **values: object) -> str:
    """A text in a language; one that is not known stays English."""
    return languages.said(KOREAN, english, in_language, values)
