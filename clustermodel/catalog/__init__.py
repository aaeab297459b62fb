"""Read configs/**/*.toml into specs, and keep where every number came from."""

from clustermodel.catalog._capex import capex_rows as capex_rows
from clustermodel.catalog._catalog import CONFIGS as CONFIGS
from clustermodel.catalog._catalog import Catalog as Catalog
from clustermodel.catalog._catalog import Entry as Entry
from clustermodel.catalog._catalog import load as load
from clustermodel.catalog._catalog import load_catalog as load_catalog
from clustermodel.catalog._check import check as check
from clustermodel.catalog._errors import ConfigError as ConfigError
from clustermodel.catalog._errors import InfeasibleError as InfeasibleError
from clustermodel.catalog._errors import did_you_mean as did_you_mean
from clustermodel.catalog._huggingface import read_config as read_config
from clustermodel.catalog._kinds import KINDS as KINDS
from clustermodel.catalog._kinds import PRECISIONS as PRECISIONS
from clustermodel.catalog._listing import catalog_rows as catalog_rows
from clustermodel.catalog._listing import entry_rows as entry_rows
from clustermodel.catalog._override import parse_override as parse_override
from clustermodel.catalog._provenance import CONFIDENCES as CONFIDENCES
from clustermodel.catalog._provenance import Bounds as Bounds
from clustermodel.catalog._provenance import Written as Written
from clustermodel.catalog._provenance import mistakes as mistakes
from clustermodel.catalog._provenance import read_written as read_written
from clustermodel.catalog._quotes import Quote as Quote
from clustermodel.catalog._quotes import price_quote as price_quote
from clustermodel.catalog._quotes import quotes as quotes
from clustermodel.catalog._read import read_toml as read_toml
from clustermodel.catalog._required import required as required
