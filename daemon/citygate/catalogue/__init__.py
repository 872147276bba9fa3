"""The services citygate knows, as YAML, and their loader."""

from citygate.catalogue.load import builtin, with_local
from citygate.catalogue.model import Catalogue, Service

__all__ = ["Catalogue", "Service", "builtin", "with_local"]
