"""The demo retailer: extracts of an invented French retailer with shops, a web shop and an app.

Everything here invents data; nothing here reads or judges any. The contracts of these extracts are
plain declarations like any other source's (`declarations/sources/`).
"""
