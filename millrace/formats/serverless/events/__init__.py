"""The events of a function, one file for each kind: Serverless's words in, events of millrace.yml out."""
