"""How fast millrace is, as ratios: each figure is measured against its own baseline in the same run."""
