"""The digits project under fire: post half of the scans, break things meanwhile, count what became of every single one.

scratch (copy, train) → server (`millrace up` in its own process) → load (post) → audit (read the data) → report
"""
