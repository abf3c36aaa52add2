"""Events in words, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from bistill.monitor import charge, recovery, telling
from bistill.monitor.recovery import Do

GATE = {"teacher": {"rerank_ndcg_at_10": 0.8}, "student": {"rerank_ndcg_at_10": 0.75}, "leads": True}
DIFFERENCE = {"value": 0.05, "low": 0.01, "high": 0.09}
JUDGED = GATE | {"difference": DIFFERENCE, "confidence": 0.975, "verdict": "leads"}
BESIDE = {"ndcg_at_10": {"start": 0.75, "trained": 0.8}, "difference": DIFFERENCE, "queries": 50}
SHORTAGE = {"kind": "out_of_memory", "message": "step 7: memory ran out\nmore", "step": 7, "micro_batch_tokens": 512}
ROLLBACK = {"kind": "rollback", "message": "the loss leapt; back at step 5", "step": 9, "to_step": 5}


@pytest.mark.parametrize(
    ("record", "english", "korean"),
    [
        (
            {"event": "start", "stage": "teacher", "pid": 7},
            "started: teacher, process 7",
            "시작: 교사 모델 학습, 프로세스 7",
        ),
        ({"event": "start", "stage": "x", "pid": 7}, "started: x, process 7", "시작: x, 프로세스 7"),
        (
            {"event": "resume", "step": 500},
            "goes on from the checkpoint of step 500",
            "500스텝 체크포인트에서 이어서 학습",
        ),
        (
            {"event": "checkpoint", "step": 8, "bytes": 2**21, "seconds": 0.25},
            "checkpoint of step 8: 2.0 MiB in 0.2 s",
            "8스텝 체크포인트: 2.0 MiB, 0.2초",
        ),
        (
            {"event": "candidates", "queries": 3, "pairs": 24, "scored": 6, "candidates": {"random": 3}},
            "candidates of 3 queries: 24 pairs, 6 of them scored anew",
            "쿼리 3개의 후보 문서: 24쌍, 그중 6쌍을 새로 채점",
        ),
        (
            {"event": "evaluation", "step": 2, "figures": {"auc": 0.75}},
            "validation at step 2: auc 0.7500",
            "2스텝 검증: auc 0.7500",
        ),
        (
            {"event": "gate", "figures": GATE},
            "teacher gate: nDCG@10 of the teacher 0.8000, of the base model 0.7500",
            "교사 모델 점검: nDCG@10 교사 0.8000, 베이스 모델 0.7500",
        ),
        (
            {"event": "gate", "embedding_teacher": "large {x}", "figures": GATE},
            "embedding teacher gate, large {x}: nDCG@10 of the teacher 0.8000, of the base model 0.7500",
            "임베딩 교사 모델 점검, large {x}: nDCG@10 교사 0.8000, 베이스 모델 0.7500",
        ),
        (
            {"event": "gate", "figures": JUDGED},
            "teacher gate: nDCG@10 of the teacher 0.8000, of the base model 0.7500 (+0.0500, 97.5 % +0.0100 to "
            "+0.0900): the teacher leads",
            "교사 모델 점검: nDCG@10 교사 0.8000, 베이스 모델 0.7500 (+0.0500, 97.5 % 구간 +0.0100~+0.0900): "
            "교사가 더 좋음",
        ),
        (
            {"event": "head", "pairs": 2400, "inputs": 384, "share": 0.2, "loss": 0.43215, "seconds": 3.0},
            "the new head is fitted to 2400 training pairs: loss 0.4321",
            "새 출력층을 학습 쌍 2400개에 맞춤: 손실 0.4321",
        ),
        (
            {"event": "unlearned", "message": "x", "step": 8, "loss": 0.502, "entropy": 0.5004, "share": 0.2},
            "nothing is learned after 8 updates: the loss is 0.502, giving every pair the share of relevant ones has "
            "0.500; if it stays so, take a higher learning rate, no LoRA, or more epochs",
            "8스텝까지 학습된 것이 없음: 손실 0.502, 모든 쌍에 관련 비율만 답할 때의 손실 0.500. "
            "계속 그대로라면 학습률을 높이거나, LoRA 없이 학습하거나, 에폭을 늘릴 것",
        ),
        (
            {"event": "memory", "micro_batch_tokens": 8192},
            "holds at most 8192 tokens at once",
            "한 번에 최대 8192토큰 처리",
        ),
        (
            {"event": "merge", "share": 0.75},
            "merged with the base model: 75% of the training is kept",
            "베이스 모델과 병합: 학습된 변화의 75% 유지",
        ),
        (
            {"event": "merge", "share": 0.0, "beside_start": BESIDE},
            "the training gained nothing: the student is the base model; nDCG@10 0.7500 -> 0.8000 (+0.0500, 95 % "
            "+0.0100 to +0.0900)",
            "학습 효과 없음: 학생 모델은 베이스 모델 그대로; nDCG@10 0.7500 -> 0.8000 (+0.0500, 95 % 구간 "
            "+0.0100~+0.0900)",
        ),
        (
            {"event": "trouble", **SHORTAGE},
            "out of memory: step 7: memory ran out",
            "7스텝에서 메모리 부족: 한 번에 최대 512토큰으로 다시 계산",
        ),
        (
            {"event": "trouble", **ROLLBACK},
            "rollback: the loss leapt; back at step 5",
            "9스텝에서 5스텝으로 되돌아감",
        ),
        (
            {"event": "trouble", "kind": "out_of_memory", "message": "of an earlier version"},
            "out of memory: of an earlier version",
            "out of memory: of an earlier version",
        ),
        ({"event": "saved", "step": 40}, "model of step 40 written", "40스텝 모델 저장 완료"),
        (
            {"event": "end", "status": "finished", "seconds": 61.0},
            "finished after 1 min 01 s",
            "1분 1초 만에 완료",
        ),
        (
            {"event": "end", "status": "failed", "seconds": 2.0, "error": "a\x1bb\nc"},
            "failed after 2 s: a�b",
            "2초 만에 실패: a�b",
        ),
        ({"event": "of a later version", "x": 1}, "of a later version", "of a later version"),
        ({"event": "checkpoint", "bytes": "many"}, "checkpoint", "checkpoint"),
        (
            {"event": "restart", "monitor": 3, "message": "it crashed; again\nx", "reason": "it crashed", "pid": 12},
            "monitor: it crashed; again",
            "모니터: 비정상 종료, 다시 시작(프로세스 12)",
        ),
        (
            {"event": "outcome", "monitor": 3, "message": "the run has finished", "state": "finished"},
            "monitor: the run has finished",
            "모니터: 결과: 완료",
        ),
        ({"event": "of a later version", "monitor": 3}, "monitor: of a later version", "monitor: of a later version"),
    ],
)
def test_events_in_words(record: dict[str, Any], english: str, korean: str) -> None:
    assert telling.event(record) == english
    assert telling.event(record, "ko") == korean


def test_every_reason_of_an_act_has_korean_words() -> None:
    acts = {rule.reason for rule in recovery.RULES if rule.do is not Do.NOTHING}
    assert acts < telling.REASONS.keys()
    assert {charge.NO_COMMAND, charge.NOTEBOOK} == telling.REASONS.keys() - acts
