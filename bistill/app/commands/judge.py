"""``bistill judge``: a sheet of pairs for a person, who makes a test file of it."""

from __future__ import annotations

from pathlib import Path

from bistill import artifacts
from bistill.app import following
from bistill.app.config import JudgeOptions
from bistill.data.queries.copies import Selection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_documents, load_log
from bistill.data.store.texts import Texts
from bistill.data.store.version import Version
from bistill.errors import OptionError
from bistill.evaluation.by_hand.sheet import Sheet, make
from bistill.evaluation.settings import Judging
from bistill.models.settings import Inference


def judge(options: JudgeOptions) -> Sheet:
    """Write the sheet, see ``sheet.make``, and say how it is read back.

    Raises:
        BistillError: data, a model, an option or what lies there cannot be used.
    """
    given = (options.documents, options.queries, options.data_version)
    if [value is not None for value in given] not in ([True, True, False], [False, False, True]):
        raise OptionError(
            "documents and queries come from two files, or from a data version",
            where="--documents, --queries, --data_version",
            found=given,
            todo="give --documents and --queries, or --data_version alone",
        )
    queries, documents, file = _of_files(options) if options.data_version is None else _of_version(options)
    sheet = make(
        queries,
        documents,
        options.models,
        options.output,
        Judging(options.number, options.depth, options.rerank_depth, options.seed),
        inference=Inference(options.precision, options.batch_size, options.trust_remote_code),
        overwrite=options.overwrite,
    )
    following.say_next("evaluate", model_path="MODEL", test_data=str(sheet.path), documents=file, partly_judged=True)
    return sheet


def _of_files(options: JudgeOptions) -> tuple[Texts, Corpus, str]:
    assert options.documents is not None and options.queries is not None
    rejected = Path(options.output).parent / artifacts.REJECTED_FILE
    log = load_log(Path(options.queries), on_bad_rows=options.on_bad_rows, rejected_to=rejected)
    return log.queries, Corpus(load_documents(options.documents)), options.documents


def _of_version(options: JudgeOptions) -> tuple[Selection, Corpus, str]:
    """Queries without labels, and the documents of the version; a file of these to evaluate among."""
    version = Version(Path(options.data_root), str(options.data_version))
    asked = version.unlabelled(on_bad_rows=options.on_bad_rows, rejected_to=Path(options.output).parent)
    documents = version.corpus(asked)
    if version.files():
        documents = Corpus(documents, version.documents(on_bad_rows=options.on_bad_rows))
    return Selection(asked.queries, asked.unlabelled), documents, str(version.folder / artifacts.CORPUS_FILE)
