"""Typed models of every YAML declaration, one loader for them all, and JSON Schemas for editors.

What belongs here: what a declaration may say and the message when it says something else. What does
not: what is then done with it.
"""
