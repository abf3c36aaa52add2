"""What every training command imports, for the process that others are forked from; it only imports."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when the libraries are loaded

import peft
import transformers.models.bert.modeling_bert
import tyro

import bistill.app.cli
import bistill.app.commands.distill
import bistill.app.commands.teacher

__all__ = ["bistill", "peft", "transformers", "tyro"]
