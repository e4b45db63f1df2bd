"""The table of operations against torch itself."""

import torch

from vizcnn.recording.operations import LINEAR, SMOOTH, SWITCHED


def test_every_operation_of_the_table_exists_with_these_arguments():
    for name, alternatives in LINEAR.items():
        packet = getattr(torch.ops.aten, name)
        schemas = [getattr(packet, overload)._schema for overload in packet.overloads()]
        known = {argument.name for schema in schemas for argument in schema.arguments}
        assert all(together <= known for together in alternatives), name
    assert all(hasattr(torch.ops.aten, name) for name in SWITCHED)
    assert all(
        hasattr(torch.ops.aten, name) for name in SMOOTH - {"softsign", "tanhshrink", "logsigmoid"}
    )
    assert not LINEAR.keys() & (SWITCHED | SMOOTH)
