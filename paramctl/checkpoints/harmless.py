"""What stands in checkpoints beside tensors, by name: a placeholder is made of each, and its module is not imported."""

from __future__ import annotations

from typing import Final

DISTRIBUTED_TENSORS: Final = frozenset(
    {
        "torch.distributed.tensor.DTensor", "torch.distributed.tensor._api.DTensor",
        "torch.distributed._tensor.api.DTensor",
    }
)  # fmt: skip
"""What a tensor of several processes is called."""

HARMLESS: Final = frozenset(
    {
        "argparse.Namespace", "types.SimpleNamespace", "collections.deque", "copyreg._reconstructor",
        "copy_reg._reconstructor", "_codecs.encode", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
        "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
        "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.WindowsPath",
        "pathlib.PureWindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath", "typing.Any",
        "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer", "torch.device", "torch.serialization._get_layout",
        "torch.Generator", "torch._C.Generator", "torch.torch_version.TorchVersion",
        "torch.nn.parameter.Parameter", "torch.Tensor",
        "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
        "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata", "omegaconf.nodes.AnyNode", "omegaconf.nodes.StringNode",
        "omegaconf.nodes.IntegerNode", "omegaconf.nodes.FloatNode", "omegaconf.nodes.BooleanNode",
        "omegaconf.nodes.BytesNode", "omegaconf.nodes.PathNode", "omegaconf.nodes.EnumNode",
        "omegaconf.nodes.InterpolationResultNode", "easydict.EasyDict", "yacs.config.CfgNode", "addict.addict.Dict",
        "ml_collections.config_dict.config_dict.ConfigDict", "ml_collections.config_dict.config_dict.FieldReference",
        "torch.distributed.device_mesh.DeviceMesh", "torch.distributed._mesh_layout._MeshLayout",
        "torch.distributed._mesh_layout._FlatLayout", *DISTRIBUTED_TENSORS,
        *(
            f"torch.distributed.{module}.{name}"
            for module in (
                "tensor._dtensor_spec", "tensor.placement_types", "_tensor._dtensor_spec", "_tensor.placement_types"
            )
            for name in (
                "DTensorSpec", "TensorMeta", "ShardOrderEntry", "Shard", "_StridedShard", "Replicate", "Partial",
                "_Partial",
            )
        ),
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in (
                "set", "frozenset", "list", "dict", "tuple", "bytearray", "bytes", "str", "int", "float", "bool",
                "complex", "slice", "range", "object", "long", "unicode", "xrange", "Ellipsis", "NotImplemented",
            )
        ),
    }
)  # fmt: skip
"""What stands in checkpoints beside tensors: each becomes a placeholder, and its module is not imported."""
