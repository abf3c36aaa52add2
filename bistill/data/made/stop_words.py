"""English words between keyphrases: without a meaning of their own, or verbs that any text has."""

from __future__ import annotations

from typing import Final

_STOP_WORDS: Final = """
a about above after again against all also although am among an and any are as at be because been before being
below between both but by can cannot could did do does doing don down during each either else few for from
further had has have having he her here hers herself him himself his how however i if in into is it its itself
just let may me might more most must my myself neither no nor not of off on once only onto or other ought our
ours ourselves out over own per rather same shall she should since so some such than that the their theirs them
themselves then there therefore these they this those though through thus to together too toward towards under
until up upon us very was we were what when where whereas whether which while who whom whose why will with
within without would yet you your yours yourself yourselves
"""
_VERBS: Final = """
add added adding allow allows allowed appear appears associated based become becomes becoming began begin begins
bring call called cause caused causes come comes contain contains containing create created creates depend
depends describe described describes determine determined discuss discussed discusses enable enables exist
exists find finding findings finds found gave get gets getting give given gives go goes going got help helps
identified identify include included includes including indicate indicated indicates investigate investigated
involve involved involves keep keeps knew know known lead leads learn led let lets like likely look looks made
make makes making mean means need needed needs observed occur occurred occurs perform performed provide provided
provides put read receive received remain remained remains report reported reports require required requires
result resulted results reveal revealed reveals review said say says see seem seems seen set show showed shown
shows start started starts state states study studies suggest suggested suggests take taken takes tell tells
think took try turn use used uses using want wants way well went work works abstract aim aims background
conclusion conclusions evidence method methods objective objectives purpose data great good new many much
several various different first second third last next another one two three four five
something anything nothing everything someone anyone everyone
somebody thing things people lot lots etc
"""
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
# And what a study says of itself.
VERBS: Final = frozenset(_VERBS.split())
