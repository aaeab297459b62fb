"""Every option that more than one command takes, declared once: name, reader, default and help.

The options of a question are the fields of `clustermodel.chain.Question`, which this table cannot import
(help must not wait for jax); `tests/test_cli.py` holds the two together.
"""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from clustermodel.cli import _readers as read


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of the command line: the keyword it fills, how its text is read and what help says.

    `default` is what the answer uses when the option is not given, as help shows it; an option that is not
    given is not passed on, so each default is set in one place only, where the answer is computed.
    """

    name: str
    read: read.Reader
    metavar: str
    help: str
    default: str = ""
    required: bool = False
    repeated: bool = False
    flag: str = ""
    panel: str = "Options"

    @property
    def parameter(self) -> inspect.Parameter:
        """The keyword-only parameter that makes typer offer this option."""
        declared = typer.Option(
            self.flag or f"--{self.name.replace('_', '-')}",
            parser=self.read,
            metavar=self.metavar,
            help=self.help + (f" (default: {self.default})" if self.default else ""),
            rich_help_panel=self.panel,
        )
        kind = list[Any] if self.repeated else Any
        default = inspect.Parameter.empty if self.required else None
        annotation = Annotated[kind, declared]
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )


@dataclasses.dataclass(frozen=True)
class Argument:
    """One positional argument: the keyword it fills, how its text is read and what help says."""

    name: str
    read: read.Reader
    metavar: str
    help: str
    required: bool = False
    repeated: bool = False

    @property
    def parameter(self) -> inspect.Parameter:
        """The keyword-only parameter that makes typer take this argument."""
        declared = typer.Argument(parser=self.read, metavar=self.metavar, help=self.help, show_default=False)
        default = inspect.Parameter.empty if self.required else None
        annotation = Annotated[list[Any] if self.repeated else Any, declared]
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )


@dataclasses.dataclass(frozen=True)
class Flag:
    """An option without a value: given or not."""

    name: str
    help: str
    panel: str = "Options"

    @property
    def parameter(self) -> inspect.Parameter:
        """The keyword-only parameter that makes typer offer this flag."""
        declared = typer.Option(
            f"--{self.name.replace('_', '-')}", help=self.help, rich_help_panel=self.panel
        )
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, declared]
        )


def _panel(title: str, *options: Option) -> tuple[Option, ...]:
    """The options under one title of the help."""
    return tuple(dataclasses.replace(option, panel=title) for option in options)


PRECISIONS = "bf16|fp16|fp8|int8|fp4|mxfp4|nvfp4|int4|q4_k_m"
COST_BASES = "bottom_up|hyperscaler|neocloud|rental_3y|on_demand"
ALLOCATIONS = "time_weighted|flops_weighted|disaggregated|total|input_only|output_only"

SYSTEM, SYSTEMS, APIS, *_WHAT = _panel(
    "Question",
    Option("system", read.name, "NAME", "server, rack or pod", required=True),
    Option("systems", read.names, "A,B,...", "servers, racks or pods, commas between", required=True),
    Option("apis", read.names, "A,B,...|all", "list prices beside them, all: of the model", "none"),
    Option("model", read.name, "NAME|FILE", "model, or a Hugging Face config.json", required=True),
    Option("engine", read.name, "NAME", "serving engine", "vllm"),
    Option("precision", read.name, "FORMAT", f"weights and activations: {PRECISIONS}", "the model's own"),
    Option("kv_precision", read.name, "FORMAT", "attention cache", "fp8 up to 8 bits, else bf16"),
)
_LOAD = _panel(
    "Load",
    Option("workload", read.name, "NAME", "lengths and arrivals of requests", "chat-1k"),
    Option("isl", read.number, "TOKENS", "mean input length", "the workload's"),
    Option("osl", read.number, "TOKENS", "mean output length", "the workload's"),
    Option("prefix_hit_rate", read.number, "SHARE", "input found in the prefix cache", "the workload's"),
    Option("concurrency", read.number, "N", "requests in flight, queue included", "the cheapest that run"),
    Option("rate", read.number, "R", "requests per second, instead of --concurrency"),
    Option("draft_tokens", read.number, "N", "tokens drafted per step (speculation, MTP)", "0"),
    Option("acceptance", read.number, "SHARE", "chance that a drafted token is accepted", "the engine's"),
    Option("adapters", read.number, "N", "low-rank adapters (LoRA) kept in memory", "the workload's"),
    Option("adapter_mb", read.number, "MB", "size of one adapter", "the workload's"),
    Option("adapter_share", read.number, "SHARE", "requests that use an adapter", "the workload's"),
)
_TARGETS = _panel(
    "Targets",
    Option("max_ttft_ms", read.number, "MS", "time to first token allowed"),
    Option("max_tpot_ms", read.number, "MS", "time per output token allowed"),
    Option("percentile", read.whole, "50|90|99", "what targets limit under --rate", "the mean"),
)
_LAYOUT = _panel(
    "Layout",
    Option("n_accelerators", read.whole, "N", "accelerators of one replica", "the cheapest"),
    Option("tp", read.whole, "N", "tensor parallelism", "the cheapest"),
    Option("pp", read.whole, "N", "pipeline parallelism", "the cheapest"),
    Option("ep", read.whole, "N", "expert parallelism, a divisor of tp x dp", "the cheapest"),
    Option("dp", read.whole, "N", "attention-data parallelism", "the cheapest"),
)
_POOLS = _panel(
    "Pools",
    Option("prefill_system", read.name, "NAME", "prefill pool, with --allocation disaggregated", "--system"),
    Option("prefill_tp", read.whole, "N", "tensor parallelism of a prefill worker", "the cheapest"),
    Option("prefill_pp", read.whole, "N", "pipeline parallelism of a prefill worker", "the cheapest"),
    Option("prefill_ep", read.whole, "N", "expert parallelism of a prefill worker", "the cheapest"),
    Option("prefill_dp", read.whole, "N", "attention-data parallelism of a prefill worker", "the cheapest"),
    Option("prefill_workers", read.whole, "N", "replicas that prefill", "the cheapest"),
    Option("decode_workers", read.whole, "N", "replicas that decode, each of --tp, --pp ...", "the cheapest"),
)
"""Any of these asks for pools of their own for prefill and decode."""
_MONEY = _panel(
    "Money",
    Option("cost_basis", read.name, "BASIS", COST_BASES, "bottom_up"),
    Option("price_date", read.date, "DATE", "take dated prices up to this day or month", "the newest"),
    Option("allocation", read.name, "RULE", ALLOCATIONS, "time_weighted"),
    Option("site", read.name, "NAME", "energy price, PUE and building", "us-average"),
    Option("utilisation", read.number, "SHARE", "share of hours sold", "the owner's terms"),
)
_CALIBRATION = _panel(
    "Calibration",
    Option("effects", read.name, "full|globals", "fitted effects of model and engine", "full"),
    Option("calibration", read.name, "FILE", "your own coefficients", "as shipped"),
)
QUESTION = (*_WHAT, *_LOAD, *_TARGETS, *_LAYOUT, *_POOLS, *_MONEY, *_CALIBRATION)
"""What one may ask of the chain besides the systems."""

EXHAUSTIVE = Flag(
    "exhaustive", "every combination of layouts and the axes below, reduced as it is computed", "Sweep"
)
SWEPT = {
    "precisions": "precisions",
    "concurrencies": "concurrency",
    "isls": "isl",
    "osls": "osl",
    "price_factors": "price_factor",
    "energy_factors": "energy_factor",
}
"""Options of a sweep, and the axis that each gives the values of."""
_LIST = "A,B,...|LOW:HIGH:N"
AXES = _panel(
    "Sweep",
    Option("precisions", read.names, "A,B,...", "weights and activations to try", "--precision"),
    Option(
        "concurrencies", read.numbers, _LIST, "requests in flight to try", "1, 2, 3, 4, 6, 8 ... the most"
    ),
    Option("isls", read.numbers, _LIST, "input lengths", "--isl"),
    Option("osls", read.numbers, _LIST, "output lengths", "--osl"),
    Option("price_factors", read.numbers, _LIST, "factors on the price of each system", "1"),
    Option("energy_factors", read.numbers, _LIST, "factors on the price of electricity", "1"),
)
POINTS, DTYPE = _panel(
    "Sweep",
    Option("points", read.path, "FILE", "write what is kept as .csv, .npz or .parquet"),
    Option("dtype", read.name, "TYPE", "of the numbers: float64, or float32, which is quicker", "float64"),
)

FORMATS = ("table", "json", "csv")
SHARED = _panel(
    "Output",
    Option("format", read.one_of(*FORMATS), "|".join(FORMATS), "form of the answer", "by suffix of --out"),
    Option("out", read.path, "FILE", "write the answer there"),
    Option("configs", read.path, "DIR", "folder of your own entries, searched first", repeated=True),
    Option(
        "overrides",
        read.name,
        "KIND[/SLUG].FIELD=VALUE",
        "change a number: accelerator.tdp='900 W'",
        repeated=True,
        flag="--set",
    ),
)
"""What every command takes, besides `QUIET`."""


def shared(forms: Sequence[str]) -> tuple[Option, ...]:
    """The options that every command takes, for answers that come in these forms."""
    written = dataclasses.replace(SHARED[0], read=read.one_of(*forms), metavar="|".join(forms))
    return (written, *SHARED[1:])


QUIET = Flag("quiet", "no remarks on stderr", "Output")
