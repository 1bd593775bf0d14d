from dnahnet_cli.ops.hyena.explicit import explicit_conv as explicit_conv
from dnahnet_cli.ops.hyena.poles import long_conv as long_conv
