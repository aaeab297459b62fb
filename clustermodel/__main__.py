"""`python -m clustermodel`: the command line where the program is not on the path."""

from clustermodel.cli.main import run

run()
