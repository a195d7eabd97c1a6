"""Templates of AWS CloudFormation: what every value in them is, and what their resources are in millrace.yml's words.

Stack(template, surroundings, faults)   parameters, conditions, functions, names: each value is known
contribute(stack, tree, draft)          queues, tables, buckets, topics, functions and what triggers them
"""
