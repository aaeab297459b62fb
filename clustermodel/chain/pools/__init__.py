"""Disaggregated deployments: prefill and decode on pools of their own, found, priced and answered."""

from clustermodel.chain.pools.answer import cost as cost
from clustermodel.chain.pools.curve import curve as curve
from clustermodel.chain.pools.power import power as power
