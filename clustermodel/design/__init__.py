"""Design questions: at what price a system matches another, what an answer hangs on, what would be best."""

from clustermodel.design.breakeven import breakeven as breakeven
from clustermodel.design.optimize import optimize as optimize
from clustermodel.design.sensitivity import sensitivity as sensitivity
