"""How much arithmetic one token of each class takes, whatever it runs on."""

from clustermodel.physics import transformer
from clustermodel.serving.load import Load
from clustermodel.serving.phases import Phases
from clustermodel.specs import Model


def token_flops(model: Model, load: Load) -> Phases:
    """FLOP per uncached input, cached input and output token.

    2 N_active per computed token, plus attention: an input token attends to half of the uncached input, a
    cached one is attended to by all uncached tokens, an output token attends to the mean context and needs
    the vocabulary matrix.
    """
    count = transformer.weights(model)
    active = count.attention + count.ffn + count.experts * transformer.routed_share(model)
    layers = transformer.full_layers(model) * model.heads
    pair = layers * 4 * model.head_dim
    seen = transformer.attended(model, load.context)
    return Phases(
        prefill=2 * active + pair * transformer.attended(model, load.uncached / 2),
        reload=pair * load.uncached,
        decode=2 * (active + count.head) + layers * transformer.decode_attention_flops(model) * seen,
    )
