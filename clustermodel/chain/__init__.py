"""The whole chain, from a question in words to tokens, watts and dollars with their sources."""

from clustermodel.chain.compare import compare as compare
from clustermodel.chain.compare import frontier as frontier
from clustermodel.chain.cost import cost as cost
from clustermodel.chain.power import power as power
from clustermodel.chain.question import Question as Question
from clustermodel.chain.sourcing import compare_sources as compare_sources
