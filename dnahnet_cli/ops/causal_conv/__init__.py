from dnahnet_cli.ops.causal_conv.reference import causal_conv_silu as causal_conv_silu
