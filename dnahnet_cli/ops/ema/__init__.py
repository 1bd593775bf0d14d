from dnahnet_cli.ops.ema.reference import ema as ema
