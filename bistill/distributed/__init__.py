"""One run on several processes: the first one runs it, the others compute for it.

A launcher such as torchrun starts the same command several times. Only the process of rank 0, the **leader**, runs the
command: it reads data, decides, writes, and is the whole run wherever nothing is shared. The others, the **workers**,
run no line of the command; they wait for functions that the leader calls in all processes at once
(``Team.together``), each with its share. So no two processes can decide differently about a file, an error or a signal,
and a collective operation begins only where every process has answered.

A function that is called so takes the ``Desk`` of its process first, which keeps models and unfinished work from one
call to the next.

A **crew** is another thing: workers of a Ray cluster that do blocks of a corpus for a process that is alone
(``crews.Crew``); they may come and go. Whoever searches a corpus asks for its ``helpers``, which are either.
"""

from __future__ import annotations

from bistill.distributed.blocks import Block, Done, Work
from bistill.distributed.crews import Crew, crew, hired
from bistill.distributed.helpers import Helpers, helpers
from bistill.distributed.joining import here, processes, processes_here, session
from bistill.distributed.parts import Parts
from bistill.distributed.team import Desk, Team

__all__ = [
    "Block",
    "Crew",
    "Desk",
    "Done",
    "Helpers",
    "Parts",
    "Team",
    "Work",
    "crew",
    "helpers",
    "here",
    "hired",
    "processes",
    "processes_here",
    "session",
]
