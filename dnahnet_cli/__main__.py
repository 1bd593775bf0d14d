"""`python -m dnahnet_cli` is the command `dnahnet`."""

from dnahnet_cli.cli.main import run

run()
