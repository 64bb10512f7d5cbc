"""One layer from its call: the class, its construction on a device, and what a failure in it says."""

from __future__ import annotations
