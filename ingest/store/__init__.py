"""The Redis state store: key names, Lua scripts, writers and all readers."""
