"""Builds children: pure functions from our records to the dicts that the API server takes. They know no cluster."""
