"""Serverless's variables: `${self:custom.x, opt:stage, 'dev'}` → what stands for it, with places and secrets kept.

syntax.py tells the parts of a text apart, sources.py says what each kind of source holds, files.py reads what
`${file(...)}` names, resolver.py puts the values in, only where somebody asks for them.
"""
