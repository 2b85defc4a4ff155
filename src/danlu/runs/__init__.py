"""Run folders: made, trained, drawn from, exported."""
