"""Faults that an installation of many nodes meets, played on real processes: `make faults`."""
