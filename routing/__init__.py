"""The pure core: roads, problems, solving, checking. No Redis, no Flask, no RQ, no wall clock."""
