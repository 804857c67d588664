"""From the resource models to files: CustomResourceDefinitions and their reference.

definitions.py   the CustomResourceDefinitions, and all generated files
schema.py        pydantic models to structural OpenAPI schemas
reference.py     docs/reference.md

A tool for developers: it needs PyYAML, which the package itself does not. Only schema.py is also used elsewhere.
"""
