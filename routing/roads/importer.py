"""One way in: a place name, an OpenStreetMap file or a graph becomes a map file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from routing.errors import ImportFailed
from routing.roads import graphs, pbf
from routing.roads.network import Network
from routing.roads.streets import Report, assemble

Progress = Callable[[str], None]

OSM_ATTRIBUTION = "© OpenStreetMap contributors, ODbL 1.0"


def import_map(source: str, *, name: str | None = None, progress: Progress = lambda _: None) -> tuple[Network, Report]:
    """Import a place (by name, with the internet), `.osm.pbf`, OSM XML (`.osm`, `.osm.bz2`) or `.graphml`.

    Raises
    ------
    ImportFailed
        If the source cannot be read, or holds no routable street.
    """
    path = Path(source)
    file = path.is_file()
    if not file and (path.suffix in {".pbf", ".osm", ".bz2", ".graphml", ".xml"} or path.is_dir()):
        raise ImportFailed(f"There is no file {source}.", remedy="Check the path.")
    if file and path.stat().st_size == 0:
        raise ImportFailed(f"{source} is empty.", remedy="Download it again.")
    if file and path.name.endswith((".pbf", ".osm", ".osm.bz2", ".xml")):
        streets, notes = pbf.read(path, progress)
    elif file and path.suffix == ".graphml":
        streets, notes = graphs.streets(graphs.from_graphml(path, progress)), ()
    elif file:
        raise ImportFailed(f"{source} is of no known kind.", remedy="Use .osm.pbf, .osm, .osm.bz2 or .graphml.")
    else:
        streets, notes = graphs.streets(graphs.from_place(source, progress)), ()
    progress("finding what reaches what")
    label = name or (path.name.split(".")[0] if file else source.split(",")[0])
    return assemble(streets, name=label, attribution=OSM_ATTRIBUTION, source=path.name if file else source, notes=notes)
