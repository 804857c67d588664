"""Records to rows: what a row of each task must look like, and what is wrong with one that does not."""
