"""How fast this machine is, and how fast the program is on it."""

import typer

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Flag, Option

app = typer.Typer(help="How fast this machine is, and how fast the program is on it.")

_SIZES = Option("sizes", read.counts, "N,N,...", "configurations in a batch", "1e3 to 1e6")
_DTYPE = Option("dtype", read.name, "TYPE", "float64 or float32, whose error is then measured too", "float64")
_QUICK = Flag("quick", "few and small problems, short power windows")
_ACCELERATOR = Option(
    "accelerator", read.name, "NAME", "catalogue entry of this accelerator", "by its driver's name"
)
_CALIBRATION_OUT = Option(
    "calibration_out", read.path, "FILE.toml", "write coefficients there, for --calibration of a question"
)
_MODEL = Option("model", read.name, "NAME", "model whose shapes are run", "llama-3.1-8b")
_SCALE = Option("scale", read.whole, "N", "divide depth and widths by this", "1; what a processor can bear")
_BATCHES = Option("batches", read.counts, "N,N,...", "sequences at a time", "1 to 32")
_CONTEXTS = Option("contexts", read.counts, "N,N,...", "tokens of a prompt and of each sequence", "512,4096")
_STEPS = Option("steps", read.whole, "N", "tokens decoded in one program", "64")
_PAGE = Option("page", read.whole, "N", "token slots of a cache page", "one stretch per sequence")
_GROUP = Option(
    "group", read.whole, "N", "layers that one compiled body scans over; 1 unrolls all", "what is faster"
)
_CALIBRATION = Option(
    "calibration",
    read.path,
    "FILE.toml",
    "coefficients of `bench device`, for a catalogue accelerator",
    "measured first",
)


@app.command()
@command(_QUICK, _ACCELERATOR, _CALIBRATION_OUT)
def device(ask: Ask) -> Answer:
    """Bandwidth, arithmetic, attention, links, launches and power of this machine, beside the catalogue's peaks.

    Example: clustermodel bench device --quick --calibration-out my-machine.toml
    """
    from clustermodel.bench.device import bench_device

    return ask.answer("bench-device") | bench_device(ask.catalog, **ask.options)


@app.command()
@command(_MODEL, _SCALE, _BATCHES, _CONTEXTS, _STEPS, _PAGE, _GROUP, _QUICK, _ACCELERATOR, _CALIBRATION)
def serve(ask: Ask) -> Answer:
    """A real transformer with random weights prefills and decodes here, beside the model's prediction of it.

    Example: clustermodel bench serve --model mixtral-8x7b --quick
    """
    from clustermodel.bench.serve import bench_serve

    return ask.answer("bench-serve") | bench_serve(ask.catalog, **ask.options)


@app.command()
@command(_SIZES, _DTYPE, fused=True)
def model(ask: Ask) -> Answer:
    """Evaluations of the whole chain per second, for a dense and a mixture-of-experts model.

    Example: clustermodel bench model --sizes 1000
    """
    from clustermodel.bench.model import bench_model

    return ask.answer("bench-model") | bench_model(ask.catalog, **ask.options)
