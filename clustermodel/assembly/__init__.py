"""From catalogue entries and the words of a question to what the kernels compute on."""

from clustermodel.assembly.formats import BYTES as BYTES
from clustermodel.assembly.formats import Precision as Precision
from clustermodel.assembly.formats import resolve_formats as resolve_formats
from clustermodel.assembly.layouts import candidates as candidates
from clustermodel.assembly.layouts import stack_layouts as stack_layouts
