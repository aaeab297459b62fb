"""What the kernels compute on: immutable pytrees of SI floats.

Each field is declared once, with its unit and its meaning; configs write the same names with units. Fields
are scalars; `stack` makes batches of them and `jax.vmap` consumes those. Nothing here has a name: names
live in `catalog.Entry`. A field that is zero by default is a capability that may be absent (no FP4
arithmetic, no scale-up link); NaN stands for a number nobody has published, with which nothing is computed.
"""

from clustermodel.specs._accelerator import Accelerator as Accelerator
from clustermodel.specs._batch import Spec as Spec
from clustermodel.specs._batch import gather as gather
from clustermodel.specs._batch import spread as spread
from clustermodel.specs._batch import stack as stack
from clustermodel.specs._memory import MAX_TIERS as MAX_TIERS
from clustermodel.specs._memory import MemoryTier as MemoryTier
from clustermodel.specs._memory import tiers as tiers
from clustermodel.specs._model import Model as Model
from clustermodel.specs._quantity import fields as fields
from clustermodel.specs._quantity import quantity as quantity
from clustermodel.specs._quantity import strong_float as strong_float
from clustermodel.specs._serving import Engine as Engine
from clustermodel.specs._serving import Workload as Workload
from clustermodel.specs._system import Chassis as Chassis
from clustermodel.specs._system import System as System
from clustermodel.specs._terms import Site as Site
from clustermodel.specs._terms import Terms as Terms
