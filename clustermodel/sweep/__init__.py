"""Bulk evaluation: every combination of many axes in one call, reduced on the accelerator, in bounded memory."""

from clustermodel.sweep.answer import check_table as check_table
from clustermodel.sweep.answer import exhaustive as exhaustive
from clustermodel.sweep.answer import write_table as write_table
from clustermodel.sweep.reduce import Best as Best
from clustermodel.sweep.run import sweep as sweep
from clustermodel.sweep.space import Axes as Axes
from clustermodel.sweep.space import Space as Space
from clustermodel.sweep.space import space as space
