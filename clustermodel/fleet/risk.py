"""CVaR of scenario losses, and the weights under which it is an expectation."""

import numpy as np


def tail_weights(loss: np.ndarray, probability: np.ndarray, alpha: float) -> np.ndarray:
    """The worst distribution that CVaR admits: rho_s <= p_s / (1 - alpha), filled from the largest loss.

    CVaR_alpha[L] = max over such rho of sum_s rho_s L_s, so these weights attain it.
    [P. Artzner et al.: Coherent measures of risk, Mathematical Finance 9 (1999)]
    """
    order = np.argsort(-loss, kind="stable")
    most = probability[order] / (1 - alpha)
    before = np.concatenate([[0.0], np.cumsum(most)[:-1]])
    weights = np.zeros_like(probability)
    weights[order] = np.clip(1 - before, 0, most)
    return weights


def risk_cost(loss: np.ndarray, probability: np.ndarray, omega: float, alpha: float) -> float:
    """(1 - omega) E[loss] + omega CVaR_alpha[loss]."""
    tail = tail_weights(loss, probability, alpha)
    return float(((1 - omega) * probability + omega * tail) @ loss)
