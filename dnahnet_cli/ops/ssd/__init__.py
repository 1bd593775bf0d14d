from dnahnet_cli.ops.ssd.reference import ssd as ssd
