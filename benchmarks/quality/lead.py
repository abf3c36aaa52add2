"""Whether a teacher leads a Bi-Encoder by re-ranking what that finds, on the test queries of several data versions.

python benchmarks/quality/lead.py --teacher MODEL [MODEL ...] --student MODEL --data NAME [NAME ...]

A row for each data version and teacher: nDCG@10 of the student and of the teacher's order of the student's first
``--depth`` documents; what the teacher is ahead of the student and of the first teacher, with intervals (paired
bootstrap over queries, 10,000 draws).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

import measure
import numpy as np
import summary
import torch
from tables import markdown

from bistill.evaluation.measures.bootstrap import Interval


def main() -> None:
    """Measure and print the table, each data version as it is done."""
    given = arguments()
    torch.set_num_threads(given.threads)
    asking = measure.Asking(given.data_root, given.precision, given.test_queries, given.documents)
    head = ["data version", "queries", "documents", "student", "teacher", "nDCG@10", "- student, 95 %"]
    rows = [[*head, "- first teacher, 95 %"]]
    for name in given.data:
        own = measure.student(given.student, name, asking, max_len=given.max_len)
        first = None
        for teacher in given.teacher:
            reading = {"depth": given.depth, "max_len": given.teacher_max_len, "base_max_len": given.max_len}
            its = measure.teacher(teacher, given.student, name, asking, **reading)
            rows.append(
                [
                    *(name, str(own["queries"]), str(own["documents"]), summary.number(own["ndcg_at_10"])),
                    *(Path(teacher).name, summary.number(its["ndcg_at_10"]), summary.shown(difference(its, own))),
                    "-" if first is None else summary.shown(difference(its, first)),
                ]
            )
            first = first or its
            print("\n".join(markdown(rows)), flush=True)


def difference(one: dict[str, Any], other: dict[str, Any]) -> Interval:
    """Mean of the differences of two models by query, with its interval."""
    its, others = one["ndcg_by_query"], other["ndcg_by_query"]
    return summary.interval_of(np.array([its[query] - others[query] for query in others]))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--teacher", nargs="+", required=True)
    add("--student", required=True)
    add("--data", nargs="+", required=True, help="data versions with a test.csv")
    add("--data_root", default="preprocessed")
    add("--documents", choices=("test", "version"), default="version", help="that the student ranks")
    add("--depth", type=int, default=20, help="documents of the student that the teacher re-orders")
    add("--max_len", type=int, help="tokens of a text; unset: the student's own")
    add("--teacher_max_len", type=int, help="tokens of a pair; unset: the teacher's own")
    add("--test_queries", type=int, help="test queries at most, of each data version; unset: all")
    add("--precision", choices=("fp32", "bf16"), default="fp32")
    add("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
