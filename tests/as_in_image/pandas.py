"""Not in the trainer image. sys.modules would not do here: Cython's import takes its None for the module."""

raise ImportError("the trainer image has no pandas")
