"""Records of a run and of its monitors in words, in English and Korean: what the screen and the page say of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bistill.languages import Language
from bistill.monitor import recovery
from bistill.monitor.words import Words, duration, first_line, inert, named, size

Told = Callable[[Mapping[str, Any], Language], str]

STAGES: Final = {"teacher": Words("teacher", "교사 모델 학습"), "distillation": Words("distillation", "증류")}
VERDICTS: Final = {
    "leads": Words("the teacher leads", "교사가 더 좋음"),
    "undecided": Words("not told apart, the teacher is used", "차이가 확실하지 않아 교사를 그대로 사용"),
    "weak": Words("the teacher ranks lower", "교사가 더 낮음"),
}
# What went wrong. In English its record says so itself.
TROUBLES: Final = {
    "out_of_memory": "{step}스텝에서 메모리 부족: 한 번에 최대 {micro_batch_tokens}토큰으로 다시 계산",
    "non_finite": "{step}스텝의 손실이나 그래디언트가 NaN 또는 무한대: 업데이트를 취소하고 다시 계산",
    "rollback": "{step}스텝에서 {to_step}스텝으로 되돌아감",
    "damaged_checkpoint": "손상된 체크포인트를 쓰지 않음: {path}",
    "begun_anew": "온전한 체크포인트가 없어 처음부터 다시 시작",
    "not_saved": "{step}스텝 체크포인트를 저장하지 못함, 학습은 계속",
}
# What a monitor did. In English its record says so itself.
ACTS: Final = {
    "watching": "실행을 살피기 시작",
    "planned": "{reason}, 다시 시작할 예정",
    "restart": "{reason}, 다시 시작(프로세스 {pid})",
    "ending": "{reason}, 스택을 기록하고 종료시킴",
    "pause": "{reason}, 공간이 생길 때까지 일시 정지",
    "continue": "{reason}, 재개",
    "evaluation": "{reason}, 평가 시작",
    "evaluated": "평가 완료",
    "give_up": "{reason}, 복구 포기",
    "outcome": "결과: {state}",
}
# Why it did so: the reasons of ``recovery`` and of ``charge``.
REASONS: Final = {
    "the distillation has finished": "증류가 끝남",
    "the evaluation broke off": "평가가 중간에 끊김",
    "the evaluation broke off again": "평가가 다시 끊김",
    "the disk has room again": "디스크 공간이 다시 생김",
    "the disk is nearly full": "디스크 공간 부족",
    "it hangs": "응답 없음",
    "it hangs again": "다시 응답 없음",
    "it hung and was ended": "응답이 없어 종료시킴",
    "its command is refused": "명령이 거부됨",
    "its loss is NaN or infinite": "손실이 NaN 또는 무한대",
    recovery.MEMORY: "메모리 부족",
    "it crashed": "비정상 종료",
    "it does not get beyond its last checkpoint": "마지막 체크포인트에서 더 나아가지 못함",
    "its command cannot be started": "명령을 시작할 수 없음",
    "it was started in a notebook": "노트북에서 시작된 실행",
}
STATES: Final = {"finished": "완료", "failed": "실패", "diverged": "발산", "stopped": "중단됨"}


def event(record: Mapping[str, Any], language: Language = "en") -> str:
    """A record in one line; of events that are not known their name. Never raises on a record of other fields."""
    name = str(record.get("event", ""))
    if "monitor" in record:
        return inert(_act(name, record, language))
    try:
        return inert(_EVENTS[name](record, language)) if name in _EVENTS else inert(name)
    except (KeyError, TypeError, ValueError, AttributeError):
        return inert(name)


def reason(said: str, language: Language) -> str:
    """Why a monitor acted, in a language; one that is not known stays as it is."""
    return REASONS.get(said, said) if language == "ko" else said


def _act(name: str, record: Mapping[str, Any], language: Language) -> str:
    if language == "ko" and name in ACTS:
        why, state = str(record.get("reason", "")), str(record.get("state", ""))
        told = {"reason": reason(why, language), "state": STATES.get(state, state), "pid": record.get("pid")}
        return f"모니터: {ACTS[name].format(**told)}"
    return f"monitor: {first_line(str(record.get('message', name)))}"


def _plain(en: str, ko: str) -> Told:
    """Words whose values are fields of the record as they stand there."""
    words = Words(en, ko)
    return lambda record, language: words.said(language, **record)


def _start(record: Mapping[str, Any], language: Language) -> str:
    stage = record["stage"]
    said = STAGES[stage].said(language) if stage in STAGES else stage
    return Words("started: {stage}, process {pid}", "시작: {stage}, 프로세스 {pid}").said(
        language, stage=said, pid=record["pid"]
    )


def _gate(record: Mapping[str, Any], language: Language) -> str:
    figures = record["figures"]
    teacher, student = (figures[role]["rerank_ndcg_at_10"] for role in ("teacher", "student"))
    name = record.get("embedding_teacher")
    who = (
        Words("embedding teacher gate, {name}", "임베딩 교사 모델 점검, {name}")
        if name
        else Words("teacher gate", "교사 모델 점검")
    )
    said = Words(
        "{who}: nDCG@10 of the teacher {teacher:.4f}, of the base model {student:.4f}",
        "{who}: nDCG@10 교사 {teacher:.4f}, 베이스 모델 {student:.4f}",
    ).said(language, who=who.said(language, name=name), teacher=teacher, student=student)
    if "difference" in figures:
        said += f" ({_interval(figures['difference'], figures['confidence'], language)})"
    verdict = figures.get("verdict")
    return f"{said}: {VERDICTS[verdict].said(language)}" if verdict in VERDICTS else said


def _merge(record: Mapping[str, Any], language: Language) -> str:
    share = record["share"]
    if share:
        said = Words(
            "merged with the base model: {share:.0%} of the training is kept",
            "베이스 모델과 병합: 학습된 변화의 {share:.0%} 유지",
        ).said(language, share=share)
    else:
        said = Words(
            "the training gained nothing: the student is the base model",
            "학습 효과 없음: 학생 모델은 베이스 모델 그대로",
        ).said(language)
    beside = record.get("beside_start")
    if not beside:
        return said
    before, after = (beside["ndcg_at_10"][role] for role in ("start", "trained"))
    return f"{said}; nDCG@10 {before:.4f} -> {after:.4f} ({_interval(beside['difference'], 0.95, language)})"


def _interval(difference: Mapping[str, float], confidence: float, language: Language) -> str:
    words = Words(
        "{value:+.4f}, {confidence:.3g} % {low:+.4f} to {high:+.4f}",
        "{value:+.4f}, {confidence:.3g} % 구간 {low:+.4f}~{high:+.4f}",
    )
    return words.said(language, **difference, confidence=100 * confidence)


def _head(record: Mapping[str, Any], language: Language) -> str:
    words = Words(
        "the new head is fitted to {pairs} training pairs: loss {loss:.4f}",
        "새 출력층을 학습 쌍 {pairs}개에 맞춤: 손실 {loss:.4f}",
    )
    return words.said(language, pairs=record["pairs"], loss=record["loss"])


def _unlearned(record: Mapping[str, Any], language: Language) -> str:
    words = Words(
        "nothing is learned after {step} updates: the loss is {loss:.3f}, giving every pair the share of relevant ones "
        "has {entropy:.3f}; if it stays so, take a higher learning rate, no LoRA, or more epochs",
        "{step}스텝까지 학습된 것이 없음: 손실 {loss:.3f}, 모든 쌍에 관련 비율만 답할 때의 손실 {entropy:.3f}. "
        "계속 그대로라면 학습률을 높이거나, LoRA 없이 학습하거나, 에폭을 늘릴 것",
    )
    return words.said(language, step=record["step"], loss=record["loss"], entropy=record["entropy"])


def _checkpoint(record: Mapping[str, Any], language: Language) -> str:
    words = Words(
        "checkpoint of step {step}: {size} in {seconds:.1f} s", "{step}스텝 체크포인트: {size}, {seconds:.1f}초"
    )
    return words.said(language, step=record["step"], size=size(record["bytes"] / 2**20), seconds=record["seconds"])


def _evaluation(record: Mapping[str, Any], language: Language) -> str:
    words = Words("validation at step {step}: {figures}", "{step}스텝 검증: {figures}")
    return words.said(language, step=record["step"], figures=named(record["figures"]))


def _trouble(record: Mapping[str, Any], language: Language) -> str:
    kind = record["kind"]
    if language == "ko" and kind in TROUBLES:
        try:
            return TROUBLES[kind].format(**record)
        except KeyError:  # of an earlier version
            pass
    return f"{kind.replace('_', ' ')}: {first_line(record['message'])}"


_ENDS: Final = {
    "finished": Words("finished after {time}", "{time} 만에 완료"),
    "stopped": Words("stopped after {time}", "{time} 만에 중단됨"),
    "failed": Words("failed after {time}", "{time} 만에 실패"),
}


def _end(record: Mapping[str, Any], language: Language) -> str:
    said = _ENDS[record["status"]].said(language, time=duration(record["seconds"], language))
    return f"{said}: {first_line(record['error'])}" if record.get("error") else said


_EVENTS: Final[dict[str, Told]] = {
    "start": _start,
    "data": _plain("data read", "데이터 읽기 완료"),
    "inputs": _plain("data, models and candidates are ready", "데이터, 모델, 후보 문서 준비 완료"),
    "resume": _plain("goes on from the checkpoint of step {step}", "{step}스텝 체크포인트에서 이어서 학습"),
    "gate": _gate,
    "candidates": _plain(
        "candidates of {queries} queries: {pairs} pairs, {scored} of them scored anew",
        "쿼리 {queries}개의 후보 문서: {pairs}쌍, 그중 {scored}쌍을 새로 채점",
    ),
    "head": _head,
    "memory": _plain("holds at most {micro_batch_tokens} tokens at once", "한 번에 최대 {micro_batch_tokens}토큰 처리"),
    "evaluation": _evaluation,
    "merge": _merge,
    "checkpoint": _checkpoint,
    "trouble": _trouble,
    "unlearned": _unlearned,
    "saved": _plain("model of step {step} written", "{step}스텝 모델 저장 완료"),
    "end": _end,
}
