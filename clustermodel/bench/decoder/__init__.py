"""A real decoder-only transformer in JAX, with random weights at the shapes of a catalogue model."""

from clustermodel.bench.decoder.cache import Cache as Cache
from clustermodel.bench.decoder.cache import empty_cache as empty_cache
from clustermodel.bench.decoder.run import decode_steps as decode_steps
from clustermodel.bench.decoder.run import forward as forward
from clustermodel.bench.decoder.run import prefill as prefill
from clustermodel.bench.decoder.run import step as step
from clustermodel.bench.decoder.shape import Shape as Shape
from clustermodel.bench.decoder.shape import scaled as scaled
from clustermodel.bench.decoder.shape import shape_of as shape_of
from clustermodel.bench.decoder.shape import spec_of as spec_of
from clustermodel.bench.decoder.weights import Decoder as Decoder
from clustermodel.bench.decoder.weights import random_decoder as random_decoder
