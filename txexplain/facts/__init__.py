"""What a place tells, in numbers: one frozen record a place, computed once from a run, and read by drawing, describing, explaining.

A record is asked for by a run and plain indices: block, head, token, element. It holds arrays and numbers of the run and never the run
itself, so that nothing keeps a run alive but those who show it. Sums are in float64, made of the run's float32 numbers.
"""
