from dnahnet_cli.ops.routing.reference import boundary_probability as boundary_probability
from dnahnet_cli.ops.routing.reference import chunk_index as chunk_index
