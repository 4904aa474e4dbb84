"""Dagster: assets, checks, resources, partitions, schedules and sensors. Thin: open, call, report.

What belongs here: what Dagster must know (keys, dependencies, metadata) and the glue of one step to
its domain function. What does not: any rule about customers; those live in the domain folders.
"""
