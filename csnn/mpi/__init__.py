"""One machine divided over processes that MPI has started."""
